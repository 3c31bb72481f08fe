"""The files that describe the project agree with each other, and name no machine."""

import re
import runpy
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
OWN_NAME = canonicalize_name(PROJECT["name"])
APART = ("flash", "maps")
"""Extras that are not pinned and in no other: the package of one must be compiled, the other brings 30 packages."""


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """{name: requirement}, without the project's references to its own extras."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in parsed if canonicalize_name(r.name) != OWN_NAME}


def pins(lines: list[str]) -> dict[str, str]:
    """{name: version} of lines that are all exact pins, each name once."""
    found = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines]
    bad = [line for line, match in zip(lines, found, strict=True) if match is None]
    assert not bad, f"not an exact pin without a local version tag: {bad}"
    names = [canonicalize_name(match[1]) for match in found]
    assert len(names) == len(set(names)), "a package is pinned twice"
    return {name: match[2] for name, match in zip(names, found, strict=True)}


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def constraint_pins() -> dict[str, str]:
    return pins(constraint_lines())


def allowed_pythons() -> list[str]:
    """Every version that requires-python allows, the patch releases yet to come included."""
    every = [f"3.{minor}.{patch}" for minor in range(30) for patch in range(30)]
    return list(SpecifierSet(PROJECT["requires-python"]).filter(every))


def direct_dependencies() -> dict[str, Requirement]:
    """Core dependencies and those of every extra but `APART`."""
    extras = PROJECT["optional-dependencies"]
    return requirements(PROJECT["dependencies"] + sum((extras[e] for e in extras if e not in APART), []))


def test_every_direct_dependency_is_pinned_to_a_version_it_allows():
    pinned = constraint_pins()
    for name, requirement in direct_dependencies().items():
        assert name in pinned, f"{name} is in pyproject.toml but not in constraints.txt"
        assert pinned[name] in requirement.specifier, f"{name}=={pinned[name]} is outside {requirement}"


def test_nothing_pinned_is_an_installer_or_the_project_itself():
    assert not constraint_pins().keys() & {"pip", "setuptools", "wheel", OWN_NAME}


def test_uv_is_given_the_same_pins():
    lines = constraint_lines()
    to_paste = "".join(f'    "{line}",\n' for line in lines)
    assert PYPROJECT["tool"]["uv"]["constraint-dependencies"] == lines, f"pyproject.toml needs:\n{to_paste}"


def test_pinned_packages_are_the_installed_ones_and_run_on_every_python_that_is_allowed():
    pythons = allowed_pythons()
    assert {"3.11.0", "3.11.2", "3.12.0", "3.13.0"} <= set(pythons)
    for name, version in constraint_pins().items():
        installed = metadata.distribution(name)
        assert installed.version.partition("+")[0] == version, f"{name} {installed.version}, not {version}: make setup"
        needed = SpecifierSet(installed.metadata["Requires-Python"] or "")
        refused = [python for python in pythons if python not in needed]
        assert not refused, f"{name}=={version} needs Python {needed}, requires-python allows {refused[0]} too"


def test_the_same_pythons_are_named_everywhere():
    series = sorted({python.rpartition(".")[0] for python in allowed_pythons()})
    script = runpy.run_path(str(ROOT / "scripts" / "venv.py"))
    oldest, newest = (".".join(map(str, script[name])) for name in ["OLDEST", "NEWEST"])
    prefix = "Programming Language :: Python :: "
    assert [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)] == series
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == series
    assert (oldest, newest) == (series[0], series[-1])
    assert f"Python {', '.join(series[:-1])} or {series[-1]} is needed" in script["NO_PYTHON"]


def test_type_hints_are_offered_to_type_checkers():
    assert (ROOT / "inbedder_utils" / "py.typed").read_bytes() == b""
    assert ROOT / "inbedder_utils" / "py.typed" in tracked_files()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_conda_environment_has_the_same_pins():
    (pip_part,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    assert pip_part[0] == "-e .[notebooks,test,train,evaluate,ecosystem]"
    pinned = constraint_pins()
    assert pins(pip_part[1:]) == {name: pinned[name] for name in direct_dependencies()}


def test_conda_environment_has_a_supported_python():
    (python,) = [entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python=")]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize(("extra", "packages"), [("flash", ["flash-attn"]), ("maps", ["embedding-atlas", "anywidget"])])
def test_what_is_large_or_must_be_compiled_is_only_in_its_own_extra(extra, packages):
    extras = PROJECT["optional-dependencies"]
    assert list(requirements(extras[extra])) == packages
    assert direct_dependencies().keys().isdisjoint(packages)
    others = "".join(line for e in extras if e != extra for line in extras[e])
    assert not [name for name in (extra, *packages) if name in others]


def test_version_and_date_agree_in_every_file():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^]]*)\] - (\d{4}-\d\d-\d\d)$", changelog, flags=re.MULTILINE)
    assert newest is not None, "CHANGELOG.md has no released version"
    assert newest[1] == PROJECT["version"] == CITATION["version"]
    assert newest[2] == str(CITATION["date-released"])


def test_the_paper_is_the_preferred_citation():
    paper = CITATION["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]][:2] == ["Peng", "Zhang"]
    assert paper["title"].startswith("Answer is All You Need") and paper["year"] == 2024


# Written so that no line of it matches itself.
INDEXES = r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|conda\.anaconda\.org"
FOLDERS = r"(?<![\w.])/(?:home/|Users/|roo[t]/)\w+|file:/{3}"
TRACES = re.compile(f"{INDEXES}|{FOLDERS}")
BINARY = {".png", ".pdf", ".safetensors", ".parquet", ".gz", ".npz"}


def tracked_files() -> list[Path]:
    """The text files that are in git; skips the test outside a clone."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def test_no_file_names_a_package_index_or_somebodys_home():
    texts = {path: path.read_text(encoding="utf-8") for path in tracked_files()}
    found = [f"{path.name}: {match[0]}" for path, text in texts.items() for match in TRACES.finditer(text)]
    assert not found


def test_such_traces_are_found():
    for traced in ["see pypi" + ".org/simple", "in /home" + "/someone/x", "at '/root" + "/x'"]:
        assert TRACES.search(traced)
    assert not TRACES.search("notebooks/home/x, $HOME/x, ~/x and the root/ of a tree")
