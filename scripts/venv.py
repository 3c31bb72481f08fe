"""Make .venv with everything in it, at the versions of constraints.txt; say and do nothing where it is there already.

python3 scripts/venv.py                            with uv if it is on PATH, else with pip
python3 scripts/venv.py --extra-index-url ...      with pip, and these arguments for it
PYTHON=python3.12 python3 scripts/venv.py          with this Python in .venv

Any Python from 3.8 on runs this script, which then looks for one that .venv can have. It may be stopped at any time:
the next call takes up what it finds.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
OLDEST, NEWEST = (3, 11), (3, 13)
CANDIDATES = ["python3", "python3.13", "python3.12", "python3.11", "python"]
EXTRAS = "notebooks,test,train,evaluate,ecosystem"
UV = shutil.which("uv")

QUESTIONS = """
import importlib.util, sys
print("%d.%d.%d" % sys.version_info[:3], sys.prefix, importlib.util.find_spec("ensurepip") is not None, sep="\\n")
"""
NO_PYTHON = """\
No usable Python:
{tried}
Python 3.11, 3.12 or 3.13 is needed, with its venv module (Debian, Ubuntu: apt install python3-venv).
To get one: your system's packages, conda, or `uv python install 3.13`.
If you have one elsewhere: make setup PYTHON=/path/to/python3.12"""


class Python(NamedTuple):
    """What a Python says of itself."""

    version: str
    prefix: Path
    has_ensurepip: bool

    @property
    def series(self) -> tuple[int, ...]:
        """3.12.4 is of the series (3, 12)."""
        return tuple(int(number) for number in self.version.split(".")[:2])


def ask(python: str | Path) -> Python | None:
    """Ask a Python what it is; None if it isn't there or doesn't run."""
    command = [os.path.expanduser(python), "-c", QUESTIONS]
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        version, prefix, has_ensurepip = done.stdout.decode().splitlines()
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    return Python(version, Path(prefix).resolve(), has_ensurepip == "True")


def objection(candidate: str) -> str:
    """Why .venv can't be made with this Python; empty if it can."""
    python = ask(candidate)
    if python is None:
        return "not there, or it does not run"
    if python.series < OLDEST:
        return f"Python {python.version}, which is too old"
    if python.series > NEWEST:
        return f"Python {python.version}, which is too new"
    if python.prefix == VENV.resolve():
        return "the one in .venv, which has to go"
    if not python.has_ensurepip and not UV:
        return f"Python {python.version} without its venv module"
    return ""


def find_python() -> str:
    """PYTHON if it is set, else the first on PATH that will do; exits if none does, with what was wrong with each."""
    candidates = [os.environ["PYTHON"]] if os.environ.get("PYTHON") else CANDIDATES
    objections = {}
    for candidate in candidates:
        objections[candidate] = objection(candidate)
        if not objections[candidate]:
            return os.path.expanduser(candidate)
    sys.exit(NO_PYTHON.format(tried="\n".join(f"  {name}: {reason}" for name, reason in objections.items())))


def fault() -> str:
    """What is wrong with the .venv that is there, so that only a new one helps; empty if nothing is."""
    python = ask(VENV_PYTHON)
    if python is None or python.prefix != VENV.resolve():
        return "it is incomplete, or of another machine"
    if not OLDEST <= python.series <= NEWEST:
        return f"it has Python {python.version}"
    if STAMP.exists() and STAMP.read_text().partition("\n")[0] != str(ROOT):
        return "it was made in another folder"
    if os.environ.get("PYTHON"):
        wanted = ask(os.environ["PYTHON"])
        if wanted is None or wanted.series != python.series:
            return f"it has Python {python.version}, not that of PYTHON={os.environ['PYTHON']}"
    return ""


def stamp() -> str:
    """What STAMP holds when all is installed: this folder, and a digest of what was to be installed."""
    wanted = b"\0".join((ROOT / name).read_bytes() for name in ["pyproject.toml", "constraints.txt"])
    return f"{ROOT}\n{hashlib.sha256(wanted).hexdigest()}\n"


def run(*command: str | Path) -> None:
    """Show a command and run it in this folder; exit where it fails, for it has said why."""
    words = [str(word) for word in command]
    print("+", " ".join(shlex.quote(word) for word in words), flush=True)
    status = subprocess.call(words, cwd=ROOT)
    if status:
        sys.exit(status)


def remove_venv() -> None:
    """Remove whatever is called .venv; if that is interrupted, what is left does not look like one."""
    if VENV.is_dir() and not VENV.is_symlink():
        (VENV / "pyvenv.cfg").unlink(missing_ok=True)
        shutil.rmtree(VENV)
    else:
        VENV.unlink()


def drop_half_installed() -> None:
    """Make the installer forget packages that it was killed in: it writes INSTALLER and RECORD last."""
    for folder in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if not (folder / "INSTALLER").exists() or not (folder / "RECORD").exists():
            print(f"Dropping half-installed {folder.name}")
            shutil.rmtree(folder)


def provide_pip() -> None:
    """Put pip into .venv, anew if it is broken."""
    check = [str(VENV_PYTHON), "-m", "pip", "--version"]
    if subprocess.call(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        for site_packages in VENV.glob("lib/python*/site-packages"):
            for folder in [site_packages / "pip", *site_packages.glob("pip-*.dist-info")]:
                shutil.rmtree(folder, ignore_errors=True)
        run(VENV_PYTHON, "-m", "ensurepip", "--default-pip")


def install(pip_arguments: list[str]) -> None:
    """Install the project and what it needs; what is there at its pinned version, of whatever build, stays."""
    wanted = ["-c", "constraints.txt", "-e", f".[{EXTRAS}]"]
    if UV and not pip_arguments:
        run(UV, "pip", "install", "--python", VENV_PYTHON, *wanted, "pip")  # pip is for the user, later
    else:
        provide_pip()
        run(VENV_PYTHON, "-m", "pip", "install", *pip_arguments, *wanted)


def main() -> None:
    """Bring .venv up to date, from whatever state it is in."""
    exists = os.path.lexists(VENV)
    reason = fault() if exists else ""
    if exists and not reason and STAMP.exists() and STAMP.read_text() == stamp():
        return
    if reason or not exists:
        python = find_python()
        if exists:
            print(f"Rebuilding .venv: {reason}.")
            remove_venv()
        run(python, "-m", "venv", "--without-pip", VENV)
    STAMP.write_text(f"{ROOT}\n")  # the folder now, the digest when all is there: this may be stopped in between
    drop_half_installed()
    install(sys.argv[1:])
    STAMP.write_text(stamp())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The next call takes it up from here.")
