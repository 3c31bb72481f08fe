"""Make what a teacher hands out, shows and grades, from the notebooks as they are.

    python scripts/teaching.py handout    # build/inbedder-handout.zip: notebooks without outputs and solutions
    python scripts/teaching.py slides     # build/slides/NAME.slides.html: one deck per notebook
    python scripts/teaching.py grading    # build/grading/: a course for nbgrader with three exercises

teaching/README.md says how each is used. Notebooks need to have been run (they have, as committed) for the slides only.
"""

import argparse
import re
import shutil
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
BUILD, NOTEBOOKS = ROOT / "build", ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
ASSIGNMENT = "inbedder"
GRADED = {"00_start_here": 1, "02_encode_function": 1, "04_evaluation": 2}  # lesson: its exercise
POINTS = 5
PICTURE = "picture"  # tag of a cell whose code is left out on slides: its figure needs the room
LINK = re.compile(r"\]\((\.\./[^)#\s]+)")
TO_SOLUTIONS = re.compile(r"\[([^]]*)\]\(solutions/[^)]*\)")  # which are not handed out


def read(path: Path) -> NotebookNode:
    """A notebook as nbformat has it."""
    return nbformat.read(path, as_version=4)


def tagged(cell: NotebookNode, tag: str) -> bool:
    """Whether the cell has this tag."""
    return tag in cell.metadata.get("tags", [])


def without_outputs(nb: NotebookNode) -> NotebookNode:
    """The notebook as nobody has run it."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def handout() -> Path:
    """Write the lessons without outputs, and the files of the repository that they link to, into one zip."""
    path, linked = BUILD / "inbedder-handout.zip", set()
    BUILD.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
        for lesson in LESSONS:
            nb = without_outputs(read(lesson))
            for cell in nb.cells:
                cell.source = TO_SOLUTIONS.sub(r"\1", cell.source)
            text = nbformat.writes(nb)
            packed.writestr(f"notebooks/{lesson.name}", text)
            linked |= {(NOTEBOOKS / target).resolve() for target in LINK.findall(text)}
        for target in sorted(linked):
            if target.is_file():
                packed.write(target, target.relative_to(ROOT))
    part.replace(path)
    return path


def as_slides(nb: NotebookNode) -> NotebookNode:
    """A slide per section: its first words, then each result below it, with what to see; no exercises."""
    shown = []
    for cell in nb.cells:
        cell.source, end, _ = cell.source.partition("## Exercises")
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            kind = "slide"
            cell.source = first_words(cell.source)
        elif cell.cell_type == "markdown":
            kind = "-" if "**What to see:**" in cell.source else "skip"
        else:
            kind = "subslide" if cell.outputs else "skip"
            if any("image/png" in output.get("data", {}) for output in cell.outputs):
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), PICTURE]
        cell.metadata["slideshow"] = {"slide_type": kind}
        shown.append(cell)
        if end:
            break
    return new_notebook(cells=shown, metadata=nb.metadata)


def first_words(source: str) -> str:
    """A heading and the first paragraph, list or picture after it; badges of hosts are no words."""
    return "\n\n".join([part for part in source.split("\n\n") if not part.startswith("[![Open in ")][:2])


def slides() -> Path:
    """Write a deck for each lesson; reveal.js comes from its public home, or build/slides/local/ if that is there."""
    folder = BUILD / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    exporter = SlidesExporter(reveal_scroll=True, reveal_theme="white", embed_images=True)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.register_preprocessor(TagRemovePreprocessor(remove_input_tags=[PICTURE]), enabled=True)
    if (folder / "local").is_dir():
        exporter.reveal_url_prefix = "local/reveal.js"
        exporter.require_js_url, exporter.jquery_url = "local/requirejs/require.js", "local/jquery/dist/jquery.js"
    for lesson in LESSONS:
        resources = {"metadata": {"name": lesson.stem, "path": str(NOTEBOOKS)}}
        page, _ = exporter.from_notebook_node(as_slides(read(lesson)), resources=resources)
        (folder / f"{lesson.stem}.slides.html").write_text(page, encoding="utf-8")
    return folder


def graded_cells(lesson: str, number: int) -> Iterator[NotebookNode]:
    """An exercise as nbgrader has it: what comes before, the task, its solution between marks, and the assertions."""
    task, source = read(NOTEBOOKS / f"{lesson}.ipynb"), read(NOTEBOOKS / "solutions" / f"{lesson}.ipynb")
    first = next(i for i, cell in enumerate(source.cells) if cell.source.startswith("## Exercise 1"))
    yield from (cell for cell in source.cells[1:first] if cell.cell_type == "code")
    yield next(cell for cell in task.cells if cell.source.startswith(f"### Exercise {number} "))
    solution = [cell for cell in source.cells if tagged(cell, "solution")][number - 1]
    yield for_nbgrader(f"### BEGIN SOLUTION\n{solution.source}\n### END SOLUTION", f"{lesson}-answer", solution=True)
    check = [cell for cell in source.cells if tagged(cell, "check")][number - 1]
    head, _, body = check.source.partition(":\n")
    if not head.startswith("with check("):
        raise SystemExit(f"{lesson}, exercise {number}: its check has to begin with `with check(...):`")
    yield for_nbgrader(textwrap.dedent(body), f"{lesson}-check", grade=True, locked=True, points=POINTS)


def for_nbgrader(source: str, name: str, **what: object) -> NotebookNode:
    """A code cell with the metadata that nbgrader reads."""
    kept = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False, "locked": False, "task": False}
    return new_code_cell(source, metadata={"nbgrader": kept | what})


def grading() -> Path:
    """Write a course folder for nbgrader, whose one assignment has a notebook per graded exercise."""
    folder = BUILD / "grading"
    source = folder / "source" / ASSIGNMENT
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    config = folder / "nbgrader_config.py"
    if not config.exists():  # a teacher may have changed it
        config.write_text(f'c = get_config()\nc.CourseDirectory.course_id = "{ASSIGNMENT}"\n', encoding="utf-8")
    for lesson, number in GRADED.items():
        title = new_markdown_cell(f"# {lesson.replace('_', ' ')}: exercise {number}")
        nb = new_notebook(cells=[title, *graded_cells(lesson, number)], metadata=read(LESSONS[0]).metadata)
        nbformat.write(without_outputs(nb), source / f"{lesson}.ipynb")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    made = {task.__name__: task for task in (handout, slides, grading)}
    parser.add_argument("what", choices=made)
    print(made[parser.parse_args().what]().relative_to(ROOT))
