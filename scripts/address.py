"""Write the repository's public address where readers need it: badges, and the cell that installs on a hosted notebook.

    python scripts/address.py     # from `Repository` in [project.urls] of pyproject.toml; without one, badges go

The notebooks then open on Colab and Binder with a click, and fetch what they need there by themselves.
"""

import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
HOSTS = "https://colab.research.google.com", "https://mybinder.org"
INSTALL_CELL = """\
import importlib.util

if importlib.util.find_spec("inbedder_utils") is None:  # on a hosted notebook, say; here it does nothing
    {otherwise}"""
NO_ADDRESS = 'raise ModuleNotFoundError("install inbedder_utils first: README.md says how")'
CLONE = """\
get_ipython().system("git clone --quiet --depth 1 {address} course && pip install --quiet './course[train]'")
    get_ipython().run_line_magic("cd", "course/notebooks")  # figures, scores and links are found as on a laptop
    importlib.invalidate_caches()"""


def repository() -> str:
    """The address in pyproject.toml, such as https://github.com/owner/name; empty if there is none yet."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository", "").rstrip("/").removesuffix(".git")
    url = urlsplit(address)
    if address and (url.hostname != "github.com" or url.path.count("/") != 2):
        raise SystemExit(f"Repository is {address!r}, but Colab and Binder want https://github.com/OWNER/NAME")
    return address


def install_cell(address: str) -> str:
    """Source of the first code cell of every notebook."""
    return INSTALL_CELL.format(otherwise=CLONE.format(address=address) if address else NO_ADDRESS)


def badges(address: str, path: str) -> str:
    """One line of Markdown: open the notebook at `path` on Colab, or on Binder; empty without an address."""
    if not address:
        return ""
    name, (colab, binder) = urlsplit(address).path, HOSTS
    return (
        f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github{name}/blob/{BRANCH}/{path}) "
        f"[![Open in Binder]({binder}/badge_logo.svg)]({binder}/v2/gh{name}/{BRANCH}?labpath={quote(path, safe='')})"
    )


def with_badges(text: str, line: str) -> str:
    """The text with `line` under its title, in place of the badges that stood there."""
    title, _, rest = text.partition("\n")
    rest = rest.lstrip("\n")
    if rest.startswith("[![Open in "):
        rest = rest.partition("\n")[2].lstrip("\n")
    return "\n\n".join([title, *([line] if line else []), rest])


def main() -> None:
    """Rewrite README.md and every notebook."""
    address = repository()
    readme = ROOT / "README.md"
    line = badges(address, "notebooks/00_start_here.ipynb")
    readme.write_text(with_badges(readme.read_text(encoding="utf-8"), line), encoding="utf-8")
    for path in sorted([*ROOT.glob("notebooks/[0-9]*.ipynb"), *ROOT.glob("notebooks/solutions/[0-9]*.ipynb")]):
        nb = nbformat.read(path, as_version=4)
        nb.cells[0].source = with_badges(nb.cells[0].source, badges(address, path.relative_to(ROOT).as_posix()))
        for cell in nb.cells:
            if "install" in cell.metadata.get("tags", []):
                cell.source = install_cell(address)
        nbformat.write(nb, path)
    print(f"Badges and install cells for {address}." if address else "No address in pyproject.toml: no badges.")


if __name__ == "__main__":
    main()
