"""What teachers hand out, show and grade: made by scripts/teaching.py, and used as it would be."""

import csv
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from test_course import cells_tagged, prose
from test_notebooks import LESSONS

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "teaching.py"))
NBGRADER = Path(sys.executable).parent / "nbgrader"


def test_a_handout_has_no_outputs_and_no_solutions_and_its_links_lead_somewhere(tmp_path):
    with zipfile.ZipFile(SCRIPT["handout"]()) as packed:
        packed.extractall(tmp_path)
    lessons = sorted((tmp_path / "notebooks").iterdir())
    assert [path.name for path in lessons] == [path.name for path in LESSONS]
    for path in lessons:
        nb = nbformat.read(path, as_version=4)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in nb.cells)
        assert cells_tagged(path, "exercise") and not cells_tagged(path, "solution")
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", prose(path)):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_slides_have_a_slide_for_every_section_and_no_exercises():
    folder = SCRIPT["slides"]()
    for path in LESSONS:
        page = (folder / f"{path.stem}.slides.html").read_text(encoding="utf-8")
        headings = [cell for cell in nbformat.read(path, as_version=4).cells if cell.source.startswith("#")]
        sections = [cell for cell in headings if cell.source.startswith("## ")]
        assert page.count("<section>") >= len(sections)
        assert "Exercise 1" not in page and "<img" in page


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course folder, so that grades and submissions stay out of build/."""
    if not NBGRADER.exists():
        pytest.skip("nbgrader is not installed: make setup")
    folder = tmp_path_factory.mktemp("course") / "grading"
    shutil.copytree(SCRIPT["grading"](), folder, ignore=shutil.ignore_patterns("gradebook.db"))
    return folder


def nbgrader(folder: Path, *words: str) -> None:
    """Run a command of nbgrader, which calls others of its environment by name."""
    environment = os.environ | {"PATH": f"{NBGRADER.parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([NBGRADER, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def hand_in(course: Path, student: str, lessons: Iterable[str], *, solved: bool) -> None:
    """Put a student's notebooks into submitted/, with the solution in each gap or as they were handed out."""
    name = SCRIPT["ASSIGNMENT"]
    folder = course / "submitted" / student / name
    folder.mkdir(parents=True)
    for lesson in lessons:
        nb = nbformat.read(course / "release" / name / f"{lesson}.ipynb", as_version=4)
        solutions = cells_tagged(ROOT / "notebooks" / "solutions" / f"{lesson}.ipynb", "solution")
        (gap,) = (cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("solution"))
        gap.source = solutions[SCRIPT["GRADED"][lesson] - 1].source if solved else gap.source
        nbformat.write(nb, folder / f"{lesson}.ipynb")


def test_nbgrader_releases_and_grades_the_exercises(course):
    name = SCRIPT["ASSIGNMENT"]
    nbgrader(course, "generate_assignment", name, "--create")
    for path in (course / "release" / name).glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "raise NotImplementedError" in text and "BEGIN SOLUTION" not in text
    hand_in(course, "ada", SCRIPT["GRADED"], solved=True)
    hand_in(course, "bob", ["00_start_here"], solved=False)
    nbgrader(course, "autograde", name, "--create")
    nbgrader(course, "export")
    with open(course / "grades.csv", newline="", encoding="utf-8") as file:
        grades = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}
    most = SCRIPT["POINTS"] * len(SCRIPT["GRADED"])
    assert grades == {"ada": (most, most), "bob": (0, most)}


def test_sections_that_teachers_are_sent_to_exist():
    pages = [ROOT / "teaching" / name for name in ("lab.md", "misunderstandings.md")]
    for number, sections in re.findall(r'(0\db?), ((?:"[^"]+"(?:, | to )?)+)', "".join(map(Path.read_text, pages))):
        (lesson,) = (path for path in LESSONS if path.stem.split("_")[0] == number)
        headings = re.findall(r"^#+ (.+)$", prose(lesson), re.MULTILINE)
        for section in re.findall('"([^"]+)"', sections):
            assert section in headings, f"{lesson.stem} has no section {section!r}"
