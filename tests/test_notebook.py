"""The notebook runs, and shows what is stored in it. `python tests/test_notebook.py` stores its outputs anew."""

import json
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient
from test_docs import LINK, anchors

import pixelbayes

NOTEBOOK = Path(__file__).parents[1] / "docs" / "photographs.ipynb"
PHOTOGRAPHS = "PIXELBAYES_FOOD_AND_FUR"  # where the notebook finds real images; what is stored holds none
PICTURES = {"draw": 1, "read": 1, "why": 1, "complete": 1, "train": 1}  # cell -> how many

MACHINE = re.compile(r"(?<![\w./])(/(home|root|tmp|work|opt|usr|var|mnt|private|Users)/|[A-Z]:\\)|site-packages")


@pytest.fixture
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to run in, with no settings of the user's."""
    monkeypatch.delenv(PHOTOGRAPHS, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def executed(notebook, folder):
    """The notebook after a run from top to bottom, in a fresh kernel of the interpreter that runs this."""
    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False, resources=where).execute()


def store(notebook):
    notebook.metadata.language_info = {"name": "python"}  # not which version it was
    nbformat.write(notebook, NOTEBOOK)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook, cell_id):
    (cell,) = (cell for cell in code(notebook) if cell.id == cell_id)
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def kinds(notebook):
    """What each cell has put out: names of streams, and the forms of what is shown."""
    return {cell.id: [output.get("name") or sorted(output.data) for output in cell.outputs] for cell in code(notebook)}


def test_the_kernel_is_of_the_interpreter_that_runs_the_tests(folder):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import sys; print(sys.executable)", id="who")]
    )
    assert printed(executed(notebook, folder), "who").strip() == sys.executable


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_is_stored_in_it(stored, folder):
    fresh = executed(nbformat.from_dict(stored), folder)  # raises if a cell fails
    assert [cell.execution_count for cell in code(fresh)] == list(range(1, len(code(fresh)) + 1))
    assert kinds(fresh) == kinds(stored)
    for cell in ("measure", "train"):
        for figure in ("accuracy", "95% interval", "bits per dimension", "NLL", "Brier", "ECE", "at T = "):
            assert figure in printed(fresh, cell)
    assert f"{PHOTOGRAPHS} is not set" in printed(fresh, "measure")
    assert list(folder.iterdir()) == []


def test_what_is_stored_was_executed_in_order_and_is_whole(stored):
    nbformat.validate(stored)
    assert [cell.execution_count for cell in code(stored)] == list(range(1, len(code(stored)) + 1))
    assert {name for outputs in kinds(stored).values() for name in outputs if isinstance(name, str)} == {"stdout"}
    pictures = {cell: sum("image/png" in output for output in outputs) for cell, outputs in kinds(stored).items()}
    assert {cell: count for cell, count in pictures.items() if count} == PICTURES
    assert "of 16" in printed(stored, "judge")


def test_what_is_stored_is_of_the_network_that_comes_with_the_package(stored):
    digest = pixelbayes.load("food-and-fur").digest
    assert digest in printed(stored, "load"), "other weights: `python tests/test_notebook.py` stores the outputs anew"


def test_the_notebook_is_small_and_tells_nothing_of_a_machine(stored):
    assert NOTEBOOK.stat().st_size < 600_000  # bytes
    assert all(not cell.metadata for cell in stored.cells)  # such as when a cell began and ended
    for cell in code(stored):
        for output in cell.outputs:
            output.get("data", {}).pop("image/png", None)
    text = json.dumps(stored).replace("\\n", "\n")  # a path may begin a line, and stand behind the letter n
    assert not MACHINE.findall(text)


def test_every_link_of_the_notebook_leads_somewhere(stored):
    prose = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    targets = [one or other for one, other in LINK.findall(prose)]
    assert len(targets) > 3
    for target in targets:
        path, _, anchor = target.partition("#")
        linked = NOTEBOOK.parent / path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


if __name__ == "__main__":
    os.environ.pop(PHOTOGRAPHS, None)
    with TemporaryDirectory() as scratch:
        store(executed(nbformat.read(NOTEBOOK, as_version=4), scratch))
