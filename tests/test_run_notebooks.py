"""notebooks/run.py on two made-up notebooks, one of which fails."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from conftest import NOTEBOOKS
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PASSES = ["import pathlib\nprint(6 * 7)", "print(pathlib.Path('beside.txt').read_text())"]
FAILS = ["print('before')", "raise KeyError('lost')", "print('after')"]


def run(*args: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, NOTEBOOKS / "run.py", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def make_notebook(path: Path, sources: list[str]) -> Path:
    cells = [new_markdown_cell("# A title"), *map(new_code_cell, sources)]
    cells[1].metadata["execution"] = {"iopub.execute_input": "2001-01-01"}
    kernelspec = {"display_name": "another", "language": "python", "name": "another"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python", "version": "3.0.0"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run in place of both notebooks, the failing one first."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "beside.txt").write_text("found in my own folder")
    fails, passes = (
        make_notebook(folder / "1_fails.ipynb", FAILS),
        make_notebook(folder / "2_passes.ipynb", PASSES),
    )
    before = fails.read_bytes()
    done = run(fails, passes, "--in-place", "--build", folder / "build")
    return SimpleNamespace(folder=folder, fails=fails, passes=passes, before=before, done=done)


def test_status_and_table_tell_which_cell_failed_and_why(ran):
    assert ran.done.returncode == 1, ran.done.stderr
    header, first, second = ran.done.stdout.splitlines()[-3:]
    assert header.split() == ["notebook", "seconds", "result"]
    assert first.startswith("1_fails ") and first.endswith("  cell 2 of 3: KeyError: 'lost'")
    assert second.startswith("2_passes ") and second.endswith("  ok")


def test_failed_notebook_is_left_as_it_was(ran):
    assert ran.fails.read_bytes() == ran.before
    assert sorted(path.name for path in ran.folder.iterdir()) == [
        "1_fails.ipynb",
        "2_passes.ipynb",
        "beside.txt",
        "build",
    ]


def test_passed_notebook_holds_its_outputs_and_no_noise(ran):
    nb = nbformat.read(ran.passes, as_version=4)
    assert [cell.outputs[0].text for cell in nb.cells[1:]] == ["42\n", "found in my own folder\n"]
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2]
    assert nb.metadata.kernelspec.name == "python3"
    assert nb.metadata.language_info == {"name": "python"}
    assert not any("execution" in cell.metadata for cell in nb.cells)


def test_copies_of_both_are_in_the_build_folder(ran):
    names = ["1_fails.html", "1_fails.ipynb", "2_passes.html", "2_passes.ipynb"]
    assert sorted(path.name for path in (ran.folder / "build").iterdir()) == names
    assert "found in my own folder" in (ran.folder / "build" / "2_passes.html").read_text(encoding="utf-8")
    stopped = nbformat.read(ran.folder / "build" / "1_fails.ipynb", as_version=4)
    assert [len(cell.outputs) for cell in stopped.cells[1:]] == [1, 1, 0]


def test_second_run_in_place_changes_nothing(ran, tmp_path):
    before = ran.passes.read_bytes()
    assert run(ran.passes, "--in-place", "--build", tmp_path).returncode == 0
    assert ran.passes.read_bytes() == before


def test_file_that_is_not_a_notebook_is_reported(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{")
    done = run(tmp_path / "broken.ipynb", "--build", tmp_path)
    assert done.returncode == 1
    assert "not run: " in done.stdout.splitlines()[-1]


def test_unknown_name_is_refused_by_name(tmp_path):
    done = run("no_such", "--build", tmp_path)
    assert done.returncode == 1 and "no notebook 'no_such'" in done.stderr
