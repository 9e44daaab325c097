"""Large jobs from a file: chunks that any number of processes compute, each into a file."""
