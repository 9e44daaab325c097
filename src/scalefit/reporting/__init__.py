"""Results as text, HTML, Markdown and LaTeX."""
