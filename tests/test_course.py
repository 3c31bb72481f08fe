"""What every notebook of the course has: a first cell that says what it needs, checked exercises, links, solutions."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbformat import NotebookNode
from test_notebooks import LESSONS, PATHS, SOLUTIONS, code_cells

LONGEST = {"lesson": 14, "solution": 20}  # lines of a code cell
ADDRESS = runpy.run_path(str(ROOT / "scripts" / "address.py"))


def cells_tagged(path: Path, tag: str) -> list[NotebookNode]:
    return [cell for cell in code_cells(path) if tag in cell.metadata.get("tags", [])]


def stem(path: Path) -> str:
    return path.stem


every_lesson = pytest.mark.parametrize("path", LESSONS, ids=stem)
every_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=stem)


def prose(path: Path) -> str:
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_first_code_cell_installs_only_if_it_must(path):
    first = code_cells(path)[0]
    assert first.metadata.tags == ["install"] and first.source == ADDRESS["install_cell"](ADDRESS["repository"]())
    assert not first.outputs


@every_lesson
def test_first_cell_says_what_is_learnt_and_needed(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    assert first.startswith(f"# {path.stem.split('_')[0]} · ")
    for heading in ("**Question:**", "**You will learn**", "**You need**"):
        assert heading in first
    assert re.search(r"(second|minute)s?\b.*CPU", first), "how long it takes on a CPU"


@every_lesson
def test_cells_hold_one_idea(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= LONGEST["lesson"], f"In [{cell.execution_count}]"
        assert not cell.source.endswith(";"), "nbval shows what a semicolon hides: end with plt.show()"


@every_lesson
def test_ends_with_a_summary_exercises_and_what_comes_next(path):
    text = prose(path)
    places = [text.find(heading) for heading in ("## Summary", "## Exercises")]
    assert -1 < places[0] < places[1]
    assert path == LESSONS[-1] or "Next:" in text


@every_lesson
def test_terms_and_sources_are_linked(path):
    assert "](../docs/glossary.md#" in prose(path)
    links = set(re.findall(r"\]\((https://[^)]+)\)", prose(path)))
    assert len(links) >= 3, f"at least three links to sources, there are {sorted(links)}"


@every_lesson
def test_figures_of_another_checkpoint_go_elsewhere(path):
    code = "\n".join(cell.source for cell in code_cells(path))
    assert "save_figure(" not in code or "FIGURES = figure_folder(CHECKPOINT," in code


@every_lesson
def test_exercises_are_open_and_have_hints(path):
    gaps, checks = cells_tagged(path, "exercise"), cells_tagged(path, "check")
    assert len(gaps) == len(checks) >= 2
    assert all("..." in cell.source for cell in gaps)
    assert all(printed(cell).startswith("Not ") for cell in checks)
    assert prose(path).count("<summary>Hint</summary>") == len(gaps)
    assert [*map(int, re.findall(r"^### Exercise (\d+) · ", prose(path), re.M))] == [*range(1, len(gaps) + 1)]
    assert not cells_tagged(path, "solution")


@every_lesson
def test_every_exercise_has_a_solution_that_passes_the_same_check(path):
    solution = path.parent / "solutions" / path.name
    checks = cells_tagged(solution, "check")
    assert [cell.source for cell in checks] == [cell.source for cell in cells_tagged(path, "check")]
    assert all(printed(cell).endswith("Right.\n") for cell in checks)
    assert len(cells_tagged(solution, "solution")) == len(checks)
    titles = re.findall(r"^### (Exercise .*)$", prose(path), re.M)
    assert titles == re.findall(r"^## (Exercise .*)$", prose(solution), re.M)


@every_solution
def test_solutions_are_short_and_belong_to_a_lesson(path):
    assert (path.parents[1] / path.name).is_file()
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= LONGEST["solution"], f"In [{cell.execution_count}]"
