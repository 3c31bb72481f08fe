"""The notebooks as they are stored: run in order, clean, small, readable. nbval compares their outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from conftest import NOTEBOOKS
from nbformat import NotebookNode

LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
SOLUTIONS = sorted(NOTEBOOKS.glob("solutions/[0-9]*.ipynb"))
PATHS = [*LESSONS, *SOLUTIONS]
LARGEST_FILE = 1_000_000  # bytes

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(NOTEBOOKS)))


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def may_raise(cell: NotebookNode) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


@every_notebook
def test_name_starts_with_a_number(path):
    assert re.fullmatch(r"\d\d[a-z]?_[a-z0-9_]+", path.stem)


@every_notebook
def test_is_a_valid_notebook(path):
    nbformat.validate(nbformat.read(path, as_version=4))


@every_notebook
def test_ran_once_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_stores_no_error_and_nothing_from_stderr(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.get("name") != "stderr", f"In [{cell.execution_count}]: {output.text[:200]}"
            assert output.output_type != "error" or may_raise(cell), f"In [{cell.execution_count}]: {output.ename}"


@every_notebook
def test_cell_that_may_raise_does(path):
    for cell in filter(may_raise, code_cells(path)):
        assert any(output.output_type == "error" for output in cell.outputs), cell.source


@every_notebook
def test_stores_no_path_of_a_home_folder(path):
    text = path.read_text(encoding="utf-8")
    assert f"{Path.home()}/" not in text
    assert not re.search(r"(?<![\w.])/(home|root|Users)/\w", text)


@every_notebook
def test_stores_nothing_that_changes_from_run_to_run(path):
    metadata = nbformat.read(path, as_version=4).metadata
    assert "widgets" not in metadata
    assert "version" not in metadata.get("language_info", {}), "make refresh strips the version of Python"
    assert not any("execution" in cell.metadata for cell in code_cells(path)), "make refresh strips timings"


@every_notebook
def test_is_small(path):
    assert path.stat().st_size < LARGEST_FILE


@every_notebook
def test_opens_with_a_title(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")


@every_notebook
def test_kernel_is_python3(path):
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3"
