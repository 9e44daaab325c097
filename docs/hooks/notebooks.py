"""Examples as executed notebooks: pages of the site, with the notebook itself to download.

The notebooks are percent scripts of ``examples``. Each is executed once for its text and the
package's; what came out is kept in ``.cache/notebooks``, which git ignores. A cell that raises
fails the build. ``NOTEBOOKS=false make docs`` shows them without results.

Run as ``python docs/hooks/notebooks.py [NAME ...]``, which ``make notebooks`` does: all, or those
named, are executed and written beside the scripts as ``.ipynb``.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CACHE = ROOT / ".cache" / "notebooks"

# In the order of the site. Other scripts of the folder are examples, and no pages.
NOTEBOOKS = (
    "quickstart",
    "llama3",
    "lifetime",
    "precision",
    "own_law",
    "compare",
    "recipes",
    "next_runs",
    "downstream",
    "reinforcement",
    "test_time",
    "own_sweep",
)
AT_ONCE = 2
SECONDS = 300

# What the results of a notebook depend on besides the package and its own text.
LIBRARIES = ("jax", "matplotlib", "numpy", "pandas", "scipy")

FENCES = """
{%- extends 'markdown/index.md.j2' -%}
{%- block stream -%}
{% if output.name == 'stdout' %}
~~~~ {.text .output .no-copy}
{{ output.text | trim('\n') }}
~~~~
{% endif %}
{%- endblock stream -%}
{%- block data_text -%}

~~~~ {.text .output .no-copy}
{{ output.data['text/plain'] | trim('\n') }}
~~~~

{%- endblock data_text -%}
{%- block data_html -%}

<div class="output-html">
{{ output.data['text/html'] }}
</div>

{% endblock data_html -%}
"""


def notebooks() -> dict[str, Path]:
    """The scripts of the notebooks that are there, by name.

    One that reads its command line, or where it lies, is a script alone.
    """
    found = {name: EXAMPLES / f"{name}.py" for name in NOTEBOOKS}
    return {
        name: path
        for name, path in found.items()
        if path.exists() and not re.search(r"\bsys\.argv\b|\b__file__\b", path.read_text())
    }


def title(script: str) -> str:
    """The first heading of a percent script."""
    found = re.search(r"^# # (.+)$", script, flags=re.MULTILINE)
    if found is None:
        raise ValueError("a notebook begins with a markdown cell whose first line is '# # Title'")
    return found[1].strip()


def lead(script: str) -> str:
    """The paragraph below the first heading of a percent script."""
    found = re.search(r"^# # .+\n(?:#\n)*((?:# .+\n)*)", script, flags=re.MULTILINE)
    return " ".join(line.removeprefix("# ") for line in found[1].splitlines()) if found else ""


def tables_missing(script: str) -> list[str]:
    """Public tables that a script loads by name, and that cannot be had here."""
    import scalefit as sf

    missing = []
    for name in dict.fromkeys(re.findall(r"datasets\.(?:load|frame)\(\s*\"(\w+)\"", script)):
        try:
            sf.datasets.frame(name)
        except sf.errors.DataError:
            missing.append(name)
    return missing


def key(script: str) -> str:
    """A digest of all that the results of a script depend on."""
    spec = find_spec("scalefit")
    assert spec is not None and spec.origin is not None
    digest = hashlib.sha256(script.encode())
    for path in sorted(Path(spec.origin).parent.rglob("*")):
        if path.suffix in {".py", ".csv", ".json"}:
            digest.update(path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {version(name)} ".encode())
    return digest.hexdigest()[:16]


def read(path: Path) -> Any:
    """A percent script as a notebook without results."""
    import jupytext

    notebook = jupytext.read(path)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3"},
    }
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    return notebook


def executed(path: Path) -> Any:
    """A percent script as a notebook with its results, from the cache where it has them.

    Raises:
        RuntimeError: a cell raises.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    kept = CACHE / f"{path.stem}-{key(path.read_text())}.ipynb"
    if kept.exists():
        return nbformat.read(kept, as_version=4)
    notebook = read(path)
    # A backend of the environment would take the figures from the cells.
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            resources={"metadata": {"path": folder}},
            # Kernels warn that their sockets, which are this machine's alone, are not encrypted.
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
        try:
            client.execute(env=env)
        except CellExecutionError as error:
            raise RuntimeError(f"a cell of {path.name} raises:\n{error}") from error
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [item for item in map(shown, cell.outputs) if item]
    CACHE.mkdir(parents=True, exist_ok=True)
    for older in CACHE.glob(f"{path.stem}-*.ipynb"):
        older.unlink()
    nbformat.write(notebook, kept)
    return notebook


def shown(output: Any) -> Any:
    """An output as a reader wants it, or None: no bars of progress, no name of an Axes object."""
    if output.output_type == "stream" and output.name == "stderr":
        lines = [line for line in output.text.splitlines() if "\r" not in line and "|" not in line]
        output.text = "\n".join(lines)
        return output if output.text.strip() else None
    plain = output.get("data", {}).get("text/plain", "")
    drawn = re.match(r"(array\(\[)?<(Axes|Figure|matplotlib\.)", plain)
    return output if not drawn or len(output.data) > 1 else None


def executed_all(paths: Sequence[Path]) -> list[Any]:
    """Notebooks with their results, two at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(executed, paths))


def page(name: str, notebook: Any, said: str = "") -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name.

    Args:
        name: of the notebook.
        notebook: with its results or without.
        said: a sentence below the title.
    """
    from jinja2 import DictLoader
    from nbconvert import MarkdownExporter

    exporter = MarkdownExporter(
        extra_loaders=[DictLoader({"fences.md.j2": FENCES})], template_file="fences.md.j2"
    )
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    resources = {"unique_key": name, "output_files_dir": f"{name}_files"}
    text, found = exporter.from_notebook_node(notebook, resources=resources)
    links = f"[Download as a notebook]({name}.ipynb){{ download }}"
    head = "\n\n".join(item for item in (links, said) if item)
    text = re.sub(r"\A\s*(# .+\n)", lambda match: f"{match[1]}\n{head}\n\n", text, count=1)
    # Without a table of contents there is room for what cells print.
    text = f"---\nhide: [toc]\n---\n\n{text}"
    pictures = {file: bytes(content) for file, content in found.get("outputs", {}).items()}
    return re.sub(r"!\[(png|svg)\]", "![figure]", text), pictures


def index(scripts: dict[str, str]) -> str:
    """The page that lists the notebooks."""
    lines = ["# Notebooks", "", "Each page is a notebook that was executed when this site was"]
    lines += ["built, and can be downloaded and run as it stands.", ""]
    for name, script in scripts.items():
        lines += [f"- [{title(script)}]({name}.md)<br>{lead(script)}"]
    return "\n".join(lines) + "\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the notebooks in the navigation, but for the tutorial, which has its place there."""
    pages = ["notebooks/index.md", *(f"notebooks/{name}.md" for name in notebooks())]
    pages.remove("notebooks/quickstart.md")
    for item in config.nav or []:
        if isinstance(item, dict) and "Notebooks" in item:
            item["Notebooks"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, its pictures and the notebook to download for each script."""
    import nbformat
    from mkdocs.structure.files import File

    for name, (notebook, said) in with_results(config.extra.get("notebooks", True)).items():
        text, pictures = page(name, notebook, said)
        written: dict[str, str | bytes] = {
            f"{name}.md": text,
            f"{name}.ipynb": nbformat.writes(notebook),
            **pictures,
        }
        for file, content in written.items():
            files.append(File.generated(config, f"notebooks/{file}", content=content))
    scripts = {name: path.read_text() for name, path in notebooks().items()}
    files.append(File.generated(config, "notebooks/index.md", content=index(scripts)))
    return files


def with_results(wanted: bool) -> dict[str, tuple[Any, str]]:
    """Every notebook, and what its page says of results that it lacks.

    Args:
        wanted: whether they are executed at all.
    """
    from mkdocs.exceptions import PluginError

    found, to_run = {}, []
    for name, path in notebooks().items():
        missing = tables_missing(path.read_text()) if wanted else []
        if wanted and not missing:
            to_run.append(path)
            continue
        why = "This notebook was not executed when the site was built"
        if missing:
            why += ": no file of " + ", ".join(f"`{item}`" for item in missing) + " was at hand"
        found[name] = (read(path), f"*{why}.*")
    try:
        results = executed_all(to_run)
    except RuntimeError as error:
        raise PluginError(str(error)) from error
    found |= {path.stem: (book, "") for path, book in zip(to_run, results, strict=True)}
    return {name: found[name] for name in notebooks()}


def main(names: Iterable[str]) -> None:
    """Write executed notebooks beside the scripts."""
    import nbformat

    paths = [EXAMPLES / f"{name}.py" for name in names] or list(notebooks().values())
    for path, notebook in zip(paths, executed_all(paths), strict=True):
        nbformat.write(notebook, path.with_suffix(".ipynb"))
        sys.stdout.write(f"{path.with_suffix('.ipynb').relative_to(ROOT)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
