"""The site has every notebook and document as a page, and all that its pages lead to or show."""

import json
import runpy
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from test_notebooks import PATHS as NOTEBOOKS

for name in ("sphinx", "myst_nb", "furo"):
    pytest.importorskip(name, reason='needs the extra "site": make setup')

BUILD, CONF = (runpy.run_path(str(ROOT / "site" / f"{name}.py")) for name in ("build", "conf"))
BADGES = runpy.run_path(str(ROOT / "scripts" / "address.py"))["badges"]("https://github.com/a/b", "README.md")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "teaching").rglob("*.md"))]


def test_all_pages_are_made_and_complete(tmp_path):
    """One test: its pages take most of a minute to make."""
    site = tmp_path / "site"
    command = [sys.executable, ROOT / "site" / "build.py", site]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert BUILD["problems"](site) == []
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found_by_search = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["docnames"]
    for source in [*NOTEBOOKS, *DOCUMENTS]:
        page = page_of(site, source.relative_to(ROOT).with_suffix(".html"))
        assert_page_is_of(source, page)
        assert str(source.relative_to(ROOT).with_suffix("")) in found_by_search
    for source in NOTEBOOKS:
        assert_figures_are_said_in_words(source, page_of(site, source.relative_to(ROOT).with_suffix(".html")))
    report, explorer = (page_of(site, f"site/{name}.html") for name in ("report", "explorer"))
    reported = (site / "site" / report.iframe["src"]).read_text(encoding="utf-8")
    assert all(question in reported and question in report.get_text() for question in BUILD["QUESTIONS"])
    assert "map of 432 letters" in explorer.select_one("article img")["alt"]


def page_of(site, name):
    return BeautifulSoup((site / name).read_bytes(), "html.parser")


def assert_page_is_of(source, page):
    """It has the title of its source, and stands between others."""
    text = source.read_text(encoding="utf-8")
    first = "".join(json.loads(text)["cells"][0]["source"]) if source in NOTEBOOKS else text
    heading = first.splitlines()[0].removeprefix("# ").replace("'", "’")
    assert page.h1.get_text().rstrip("#¶") == heading
    assert page.title.get_text().startswith(CONF["html_title"] if source == ROOT / "README.md" else heading)
    assert page.find(class_="next-page") or page.find(class_="prev-page"), source.name


def assert_figures_are_said_in_words(source, page):
    outputs = [output for cell in json.loads(source.read_text())["cells"] for output in cell.get("outputs", [])]
    pictures = page.select(".cell_output img")
    assert len(pictures) == sum("image/png" in output.get("data", {}) for output in outputs)
    assert all(picture["alt"].startswith("Figure under the heading “") for picture in pictures)


def test_links_formulas_and_sections_of_another_folder(tmp_path, capfd):
    sources = {
        "README.md": f"# Top\n\n{BADGES}\n\n[code](code.py), [cards](cards), [bare](bare), "
        "[what](docs/a.md#what-is-it) ![b](b.svg)\n",
        "docs/a.md": "# A\n\n## What is it?\n\n$x_1$ costs \\$5.\n\n$$\\tfrac12 x$$\n",
        "cards/README.md": "# Cards\n",
        "code.py": "1 + 1\n",
        "bare/x.csv": "x\n",
        "b.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    site = tmp_path / "build" / "site"
    BUILD["make_pages"](tmp_path, site)
    assert BUILD["problems"](site) == []
    top, a = (BeautifulSoup((site / name).read_bytes(), "html.parser") for name in ("index.html", "docs/a.html"))
    links = {link.get_text(): link["href"] for link in top.article("a")}
    assert links["cards"] == "cards/README.html" and links["what"] == "docs/a.html#what-is-it" and "bare" not in links
    assert (site / links["code"]).read_text() == sources["code.py"] and "bare" in top.article.get_text()
    assert [caption.get_text() for caption in top.select("p.caption")] == ["Guides", "Cards and project"]
    assert [svg.title.string for svg in a.select(".formula svg[role=img]")] == ["x_1", r"\tfrac12 x"]
    (tmp_path / "docs" / "a.md").write_text("# A\n\n$\\unknown x$ [gone](gone.md)")
    with pytest.raises(subprocess.CalledProcessError):
        BUILD["make_pages"](tmp_path, site)
    said = capfd.readouterr().err
    assert r"a command that is not known: \unknown x" in said and "not found: 'gone.md'" in said


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="gone.html">x</a>', "it leads nowhere: gone.html"),
        ('<a href="#gone">x</a>', "it leads nowhere: #gone"),
        ('<a href="a%20b.html#gone">x</a>', "it leads nowhere: a%20b.html#gone"),
        ('<a href=".">x</a>', "it leads nowhere: ."),
        ('<img src="a b.html">', "no alternative text: a b.html"),
        ('<img src="gone.png" alt="x">', "it leads nowhere: gone.png"),
        ('<script src="https://example.org/x.js"></script>', "loaded from elsewhere: https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loaded from elsewhere: //example.org/x.css"),
        ('<a href="a%20b.html#here">x</a><a href="#top">x</a><a href="https://example.org/">x</a>', None),
    ],
)
def test_what_is_wrong_is_found(tmp_path, body, problem):
    (tmp_path / "a b.html").write_text('<title>other</title><p id="here">')
    (tmp_path / "page.html").write_text(f'<title>page</title><p id="top">{body}')
    assert BUILD["problems"](tmp_path) == ([f"page.html: {problem}"] if problem else [])


def test_page_without_a_title_and_style_from_elsewhere_are_found(tmp_path):
    (tmp_path / "page.html").write_text("<p>no title")
    (tmp_path / "x.css").write_text(
        "@import 'https://example.org/x.css'; p { background: url(data:image/png;base64,) }"
    )
    untitled, style = BUILD["problems"](tmp_path)
    assert untitled == "page.html: it has no title" and style.startswith("x.css: loaded from elsewhere: @import")


def test_alternative_text_is_the_heading_and_what_is_to_be_seen():
    texts = ["# Title\n## A *map*", "fig", "**What to see:** the [states](a.md) of `x`. More.", "fig", "No more."]
    cells = [{"cell_type": "code" if text == "fig" else "markdown", "source": [text]} for text in texts]
    assert CONF["alternative_text"](cells, 1) == "Figure under the heading “A map”: the states of x."
    assert CONF["alternative_text"](cells, 3) == "Figure under the heading “A map”."
