"""Pack the course for rooms without a network: build/inbedder-course.zip.

    python scripts/bundle.py     # or `make bundle`

It holds all files that git knows (weights, data and notebooks among them) and wheels.txt, the versions of all
other packages. docs/offline.md says how to fetch those once, and how to install without a network.
"""

import subprocess
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "build" / "inbedder-course.zip"
FOLDER = "inbedder-course"


def known_files() -> list[str]:
    """Paths that git knows, whether committed or only added."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"a bundle is made in a clone, with git: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def wheels() -> str:
    """Requirements for `pip download`: what the package needs, and what pip builds it with."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    return (ROOT / "constraints.txt").read_text(encoding="utf-8") + "".join(f"{line}\n" for line in build)


def main() -> None:
    """Write the bundle whole, or leave the one that was there."""
    BUNDLE.parent.mkdir(exist_ok=True)
    part = BUNDLE.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in known_files():
            bundle.write(ROOT / name, f"{FOLDER}/{name}")
        bundle.writestr(f"{FOLDER}/wheels.txt", wheels())
    part.replace(BUNDLE)
    print(f"{BUNDLE.relative_to(ROOT)}: {BUNDLE.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
