"""Runs the notebook of the documentation in a kernel: `python -m tests.clients.notebook` runs it against a new server and
writes its results into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from tests.server.process import ROOT, Replaystack

PATH = ROOT / "docs/examples/sql_notebook.ipynb"


def read() -> NotebookNode:
    return nbformat.read(PATH, as_version=4)


def executed(notebook: NotebookNode, url: str, folder: Path) -> NotebookNode:
    """Runs all cells of a copy and returns it. `folder` is for files of the kernel. Raises CellExecutionError."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(copy, timeout=300, kernel_name="python3")
    places = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    client.execute(env={**os.environ, "SERVER_URL": url, **{name: str(folder) for name in places}})
    # They say when and with which interpreter it ran.
    copy.metadata.pop("language_info", None)
    for cell in copy.cells:
        cell.metadata.pop("execution", None)
    return copy


def results(notebook: NotebookNode) -> list[str]:
    """The texts that the cells show."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Replaystack(Path(folder) / "data", quick=False) as server:
        nbformat.write(executed(read(), server.url, Path(folder)), PATH)


if __name__ == "__main__":
    main()
