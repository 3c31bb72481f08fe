"""Build the site, and check it: python site/build.py [FOLDER], by default build/site; a folder there is replaced.

The notebooks are shown as they are stored, none is run. Nothing is loaded from elsewhere, for building or for reading.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ["What is the guest talking about?", "In which country is the hotel?"]
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href", "a": "href"}


def make_pages(source: Path, site: Path) -> None:
    """Make the pages of a folder that is laid out like this repository."""
    shutil.rmtree(site, ignore_errors=True)
    sphinx = ["sphinx", "--fresh-env", "--fail-on-warning", "--quiet", "--conf-dir", ROOT / "site", "--doctree-dir"]
    run(*sphinx, site.with_name("doctrees"), source, site)
    shutil.copy(site / "README.html", site / "index.html")  # in the same folder, so that its links lead there, too


def make_report(folder: Path) -> None:
    """Make the report that one of the pages shows, by the command that its reader would type."""
    texts = ROOT / "inbedder_utils" / "data" / "guests.jsonl"
    asked = [word for question in QUESTIONS for word in ("--ask", question)]
    run("inbedder_utils", "cluster", texts, "--column", "text", "--quiet", *asked, "--out", folder)


def run(*words: str | Path) -> None:
    """Run a module of this Python."""
    subprocess.run([sys.executable, "-m", *map(str, words)], cwd=ROOT, check=True)


def problems(site: Path) -> list[str]:
    """Every link that leads nowhere, picture without an alternative text, or thing that is loaded from elsewhere."""
    pages = {path: BeautifulSoup(path.read_bytes(), "html.parser") for path in site.resolve().rglob("*.html")}
    anchors = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        if not page.title or not page.title.get_text(strip=True):
            found.append(f"{name}: it has no title")
        found += [f"{name}: no alternative text: {tag['src'][:80]}" for tag in page("img") if not tag.get("alt")]
        for tag in page(list(LOADED)):
            address = tag.get(LOADED[tag.name], "")
            url = urlsplit(address)
            if url.scheme or url.netloc:
                if tag.name != "a" and url.scheme != "data":
                    found.append(f"{name}: loaded from elsewhere: {address}")
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_file() or (target in anchors and url.fragment and url.fragment not in anchors[target]):
                found.append(f"{name}: it leads nowhere: {address}")
    for path in site.rglob("*.css"):
        outside = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)]*", path.read_text(encoding="utf-8"))
        found += [f"{path.name}: loaded from elsewhere: {address}" for address in outside]
    return found


def main() -> int:
    """Build and check; 1 if something is wrong with the pages."""
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    if site.exists() and not (site / "searchindex.js").is_file():
        sys.exit(f"{site} is there and is no site: name a new folder, or one that this script made")
    make_pages(ROOT, site)
    make_report(site / "report")
    found = problems(site)
    print(*found, f"{site / 'index.html'}: {len(found)} problems", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
