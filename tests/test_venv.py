"""scripts/venv.py, on a small project that needs nothing from anywhere."""

import ensurepip
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PYPROJECT = """
build-system = { requires = [], build-backend = "backend", backend-path = ["."] }
project = { name = "small", version = "1.0" }
"""
BACKEND = '''
"""All that an installer wants of a package: a wheel, here one that puts this folder on the path."""
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info, name = "small-1.0.dist-info", "small-1.0-py3-none-any.whl"
    files = {
        "small.pth": os.getcwd(),
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: small\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: small\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
'''
INSTALLED_BY_PIP, INSTALLED_BY_UV = " -m pip install ", " pip install --python "
READY = "Ready. To use it in your shell: source .venv/bin/activate\n"
REAL_UV = shutil.which("uv")
PATH_WITHOUT_UV = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "uv").exists())
# Of a series of Python that is supported, and is not the one that runs the tests.
OTHER_VERSION = "3.13.1" if sys.version_info[:2] == (3, 12) else "3.12.1"


def make_project(folder: Path) -> Path:
    """A small project without .venv, in a folder with a space in its name."""
    folder = folder / "small project"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "scripts" / "venv.py", folder / "scripts")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "constraints.txt").write_text("# nothing\n")
    (folder / "backend.py").write_text(BACKEND)
    return folder


def load(folder: Path):
    """A project's scripts/venv.py, whose functions then work on that project."""
    spec = importlib.util.spec_from_file_location("venv_script", folder / "scripts" / "venv.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_python(path: Path, version: str, ensurepip: bool = True) -> str:
    """A Python that, asked what it is, gives these answers, and else is the one that runs the tests."""
    answers = f"{version}\\n/usr\\n{ensurepip}\\n"
    path.write_text(f"#!/bin/sh\n[ \"$1\" = -c ] && exec printf '{answers}'\nexec '{sys.executable}' \"$@\"\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No uv, and nothing that the caller of these tests told make, pip or a Python."""
    for name in list(os.environ):
        if name.startswith(("MAKE", "MFLAGS", "PIP_", "PYTHON", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", PATH_WITHOUT_UV)


@pytest.fixture
def bare(tmp_path):
    """scripts/venv.py of a project whose .venv has no package in it, and is said to be complete."""
    script = load(make_project(tmp_path))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", script.VENV], check=True)
    script.STAMP.write_text(script.stamp())
    return script


def test_nothing_is_wrong_with_a_complete_venv_and_nothing_is_done(bare, capfd):
    assert bare.fault() == ""
    bare.main()
    assert capfd.readouterr() == ("", "")


def test_a_venv_that_the_user_made_is_not_thrown_away(bare):
    bare.STAMP.unlink()
    assert bare.fault() == ""


@pytest.mark.parametrize("lost", ["pyvenv.cfg", "bin/python"])
def test_venv_in_pieces_is_noticed(bare, lost):
    (bare.VENV / lost).unlink()
    assert bare.fault() == "it is incomplete, or of another machine"


@pytest.mark.parametrize("complete", [True, False])
def test_moved_venv_is_noticed(bare, complete):
    if not complete:
        bare.STAMP.write_text(f"{bare.ROOT}\n")
    moved = bare.ROOT.rename(bare.ROOT.with_name("moved project"))
    assert load(moved).fault() == "it was made in another folder"


def test_another_python_is_noticed(bare, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHON", fake_python(tmp_path / "other", OTHER_VERSION))
    assert bare.fault().endswith(f"not that of PYTHON={tmp_path / 'other'}")
    monkeypatch.setenv("PYTHON", sys.executable)
    assert bare.fault() == ""


def test_python_that_is_no_longer_supported_is_noticed(bare):
    fake_python(bare.ROOT / "old", "3.10.2")
    (bare.ROOT / "old").write_text((bare.ROOT / "old").read_text().replace("/usr", str(bare.VENV)))
    bare.VENV_PYTHON.unlink()
    bare.VENV_PYTHON.symlink_to(bare.ROOT / "old")
    assert bare.fault() == "it has Python 3.10.2"


def test_only_changed_text_of_the_requirements_counts(bare):
    for name in ["pyproject.toml", "constraints.txt"]:
        complete = bare.stamp()
        os.utime(bare.ROOT / name, (0, 0))
        assert bare.stamp() == complete
        (bare.ROOT / name).write_text("# changed\n")
        assert bare.stamp() != complete


def test_packages_that_the_installer_was_killed_in_are_dropped(bare, capsys):
    (site_packages,) = bare.VENV.glob("lib/python*/site-packages")
    for name in ["whole", "without_INSTALLER", "without_RECORD"]:
        folder = site_packages / f"{name}-1.0.dist-info"
        folder.mkdir()
        for file in {"INSTALLER", "RECORD", "METADATA"} - {name.removeprefix("without_")}:
            (folder / file).touch()
    bare.drop_half_installed()
    assert [path.name for path in site_packages.iterdir()] == ["whole-1.0.dist-info"]
    assert capsys.readouterr().out.count("Dropping half-installed without_") == 2


@pytest.mark.parametrize("kind", ["folder", "link", "file"])
def test_whatever_is_called_venv_can_be_removed_but_not_what_it_points_to(tmp_path, kind):
    script, other = load(make_project(tmp_path)), tmp_path / "other"
    other.mkdir()
    {"folder": script.VENV.mkdir, "link": lambda: script.VENV.symlink_to(other), "file": script.VENV.touch}[kind]()
    script.remove_venv()
    assert not os.path.lexists(script.VENV) and other.exists()


@pytest.mark.parametrize(
    ("version", "ensurepip", "objection"),
    [
        ("3.10.14", True, "Python 3.10.14, which is too old"),
        ("3.14.0", True, "Python 3.14.0, which is too new"),
        (OTHER_VERSION, False, f"Python {OTHER_VERSION} without its venv module"),
        ("no version", True, "not there, or it does not run"),
        (None, None, "not there, or it does not run"),
    ],
)
def test_python_that_will_not_do_is_refused_and_venv_left_alone(
    bare, tmp_path, monkeypatch, version, ensurepip, objection
):
    python = str(tmp_path / "python")
    if version == "no version":
        shutil.copy(shutil.which("false"), python)
    elif version:
        fake_python(Path(python), version, ensurepip)
    monkeypatch.setenv("PYTHON", python)
    with pytest.raises(SystemExit) as stopped:
        bare.main()
    first, second, third, *_ = str(stopped.value).splitlines()
    assert (first, second) == ("No usable Python:", f"  {python}: {objection}")
    assert third.startswith("Python 3.11, 3.12 or 3.13 is needed") and "apt install python3-venv" in third
    assert bare.STAMP.read_text() == bare.stamp()


def test_the_python_in_venv_is_not_taken_for_the_next_one(bare, monkeypatch):
    monkeypatch.setenv("PATH", f"{bare.VENV / 'bin'}:{PATH_WITHOUT_UV}")
    assert bare.objection("python3") == "the one in .venv, which has to go"


def make_setup(project: Path, *variables: str) -> subprocess.CompletedProcess:
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_OFFLINE": "1", "UV_NO_INDEX": "1"}
    pip_wheel = {"UV_FIND_LINKS": str(Path(ensurepip.__file__).parent / "_bundled")}
    environment = {**os.environ, **offline, **pip_wheel}
    command = ["make", "setup", *variables]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


def is_installed(project: Path) -> bool:
    """Whether the project can be imported in its .venv, and pip run there."""
    command = [project / ".venv" / "bin" / "python", "-c", "import backend, pip"]
    return subprocess.run(command, cwd="/", capture_output=True).returncode == 0


def test_setup_by_pip_with_the_first_python_that_will_do_and_once_only(tmp_path, monkeypatch):
    fake_python(tmp_path / "python3", "3.9.6")
    fake_python(tmp_path / "python3.13", "3.13.1", ensurepip=False)
    fake_python(tmp_path / "python3.12", "3.12.1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{PATH_WITHOUT_UV}")
    project = make_project(tmp_path)
    first = make_setup(project)
    assert first.returncode == 0 and is_installed(project), first.stderr
    assert "+ python3.12 -m venv" in first.stdout and INSTALLED_BY_PIP in first.stdout
    assert make_setup(project).stdout == READY

    # Killed: pip and the project are half there, the stamp tells the folder only.
    (site_packages,) = (project / ".venv" / "lib").glob("python*/site-packages")
    (site_packages / "pip" / "__init__.py").write_text("half a li")
    (site_packages / "small-1.0.dist-info" / "INSTALLER").unlink()
    (site_packages / "small.pth").unlink()
    (project / ".venv" / ".installed").write_text(f"{project}\n")
    (project / ".venv" / "mine").touch()
    (project / "constraints.txt").write_text("this is not a requirement\n")
    for _ in range(2):
        assert make_setup(project).returncode != 0, "an install that failed was taken for done"
    (project / "constraints.txt").write_text("# nothing\n")
    assert make_setup(project).returncode == 0 and is_installed(project)
    assert make_setup(project).stdout == READY
    assert (project / ".venv" / "mine").exists()

    moved = project.rename(tmp_path / "moved project")
    rebuilt = make_setup(moved, "PIP_ARGS=--no-deps --no-color").stdout
    assert "Rebuilding .venv: it was made in another folder." in rebuilt
    assert " -m pip install --no-deps --no-color -c constraints.txt -e " in rebuilt
    assert is_installed(moved) and str(moved) in (moved / ".venv" / "bin" / "activate").read_text()


@pytest.mark.skipif(REAL_UV is None, reason="needs uv")
def test_setup_by_uv(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(REAL_UV).parent}:{PATH_WITHOUT_UV}")
    project = make_project(tmp_path)
    first = make_setup(project)
    assert first.returncode == 0 and is_installed(project), first.stderr
    assert INSTALLED_BY_UV in first.stdout and INSTALLED_BY_PIP not in first.stdout
    assert make_setup(project).stdout == READY
    (project / "constraints.txt").write_text("# changed\n")
    assert " -m pip install --no-deps " in make_setup(project, "PIP_ARGS=--no-deps").stdout, "PIP_ARGS are pip's"
