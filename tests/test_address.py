"""scripts/address.py on a copy: what an address changes in README and notebooks, and that none is what is committed."""

import ast
import runpy
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import NOTEBOOKS, ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ADDRESS = "https://github.com/someone/inbedder"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "address.py"))


@pytest.fixture
def project(tmp_path):
    """README, pyproject.toml and a lesson of a project without an address."""
    for folder in ("scripts", "notebooks/solutions"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "address.py", tmp_path / "scripts")
    (tmp_path / "README.md").write_text("# Title\n\nText.\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    cells = [new_markdown_cell("# 01 · Title\n\n**Question:** ?"), new_code_cell(SCRIPT["install_cell"](""))]
    cells[1].metadata["tags"] = ["install"]
    for path in ("notebooks/01_load.ipynb", "notebooks/solutions/01_load.ipynb"):
        nbformat.write(new_notebook(cells=cells), tmp_path / path)
    return tmp_path


def run(project, address=""):
    urls = f'[project.urls]\nRepository = "{address}"\n' if address else ""
    (project / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}')
    command = [sys.executable, project / "scripts" / "address.py"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def state(project):
    return {path: path.read_text() for path in [project / "README.md", *project.glob("notebooks/**/*.ipynb")]}


def test_an_address_makes_badges_and_a_cell_that_installs(project):
    before = state(project)
    assert run(project, ADDRESS).returncode == 0
    assert (
        "colab.research.google.com/github/someone/inbedder/blob/main/notebooks/00_start"
        in (project / "README.md").read_text()
    )
    lesson = nbformat.read(project / "notebooks" / "01_load.ipynb", as_version=4)
    title, badges, question = lesson.cells[0].source.split("\n\n")
    assert "mybinder.org/v2/gh/someone/inbedder/main?labpath=notebooks%2F01_load.ipynb" in badges
    assert (title, question) == ("# 01 · Title", "**Question:** ?")
    ast.parse(lesson.cells[1].source)
    assert f"git clone --quiet --depth 1 {ADDRESS} course && pip install" in lesson.cells[1].source
    with_address = state(project)
    assert run(project, f"{ADDRESS}.git").returncode == 0 and state(project) == with_address, "twice is as once"
    assert run(project).returncode == 0 and state(project) == before, "and back"


def test_an_address_that_colab_does_not_know_is_refused(project):
    done = run(project, "https://example.org/someone/inbedder")
    assert done.returncode == 1 and "want https://github.com/OWNER/NAME" in done.stderr


def test_what_is_committed_follows_from_the_setting(tmp_path):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "scripts").mkdir()
    for path in ("README.md", "pyproject.toml", "scripts/address.py"):
        shutil.copy(ROOT / path, tmp_path / path)
    subprocess.run([sys.executable, tmp_path / "scripts" / "address.py"], check=True, timeout=60)
    for path in [tmp_path / "README.md", *tmp_path.glob("notebooks/**/[0-9]*.ipynb")]:
        assert path.read_text() == (ROOT / path.relative_to(tmp_path)).read_text(), path.name


def test_binder_installs_what_is_pinned():
    script = (ROOT / ".binder" / "postBuild").read_text()
    assert "--constraint constraints.txt" in script and ".[notebooks,train]" in script
    assert (ROOT / ".binder" / "postBuild").stat().st_mode & 0o100, "Binder runs it only if it is executable"
