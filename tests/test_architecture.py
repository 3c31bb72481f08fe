"""Who may import whom: arrows between the parts of the package run one way, and every wing has one small door."""

import ast
import re
from pathlib import Path

import pytest
from conftest import PACKAGE, ROOT
from test_documents import DOCUMENTS, blocks
from test_notebooks import PATHS as NOTEBOOK_PATHS
from test_notebooks import code_cells

MAY_IMPORT = {
    "checks": "",
    "exercises": "",
    "plots": "",
    "pooling": "",
    "prompts": "checks",
    "registry": "checks prompts",
    "tokens": "checks prompts",
    "inference": "checks pooling registry tokens",
    "families": "checks inference pooling prompts registry",
    "storage": "checks",
    "data": "checks",
    "base_encoder": "checks inference pooling registry storage tokens",
    "encoder": "base_encoder checks inference pooling registry storage",
    "http_encoder": "base_encoder checks loading registry storage tokens",
    "scale": "checks clustering loading registry storage",
    "loading": "checks encoder families inference prompts registry tokens",
    "adapters": "checks encoder storage",
    "clustering": "checks plots storage",
    "paper": "checks plots",
    "evaluation": "checks data loading registry storage",
    "training": "checks data encoder evaluation families inference loading pooling prompts registry storage tokens",
}
WINGS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
READ_BY_USERS = [*NOTEBOOK_PATHS, *DOCUMENTS]
DOORS = {"inbedder_utils"} | {
    f"inbedder_utils.{name}"
    for name in (
        *("data", "training", "evaluation", "evaluation.mteb_bridge", "clustering", "clustering.plots"),
        *("clustering.report", "clustering.explorer", "clustering.maps", "paper", "paper.figures", "plots"),
        *("adapters", "registry", "exercises", "scale", "http_encoder"),
    )
}
LONGEST_MODULE, LONGEST_DOOR, LONGEST_PACKAGE = 260, 20, 15_200  # lines


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(code: str) -> list[str]:
    """Every dotted name of this package that code imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole path"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "inbedder_utils"]


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if part_of(path) not in ("__init__", "__main__", "cli")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_one_way(path):
    allowed = {part_of(path), *MAY_IMPORT[part_of(path)].split()}
    parts = {name.split(".")[1] for name in imported(path.read_text(encoding="utf-8"))}
    assert parts <= allowed, f"{path.name} may not import {sorted(parts - allowed)}"


@pytest.mark.parametrize("wing", WINGS)
def test_a_door_is_small_and_defines_nothing(wing):
    code = (PACKAGE / wing / "__init__.py").read_text(encoding="utf-8")
    assert len(code.splitlines()) < LONGEST_DOOR
    defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not defined


def code_of(path: Path) -> list[str]:
    if path.suffix == ".ipynb":
        return [cell.source for cell in code_cells(path)]
    return [code for info, code, _ in blocks(path.read_text(encoding="utf-8")) if info == "python"]


@pytest.mark.parametrize("path", READ_BY_USERS, ids=lambda path: path.name)
def test_notebooks_and_documents_go_through_the_doors(path):
    for code in code_of(path):
        plain = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))
        for name in imported(plain):
            assert name.rpartition(".")[0] in DOORS, f"{name} is behind a door: name it in the door, or do without"


def test_no_module_is_long_and_the_package_stays_small():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert [path.name for path, n in lines.items() if n > LONGEST_MODULE] == []
    assert sum(lines.values()) <= LONGEST_PACKAGE


def test_every_module_has_a_test_file_or_is_named_in_one():
    tests = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    names = {path.stem for path in tests}
    for path in MODULES:
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        named = re.compile(
            rf"{re.escape(dotted)}\b|from {re.escape(dotted.rpartition('.')[0])} import [^\n]*\b{path.stem}\b"
        )
        assert path.stem == "__init__" or f"test_{path.stem}" in names or any(map(named.search, tests.values())), dotted
