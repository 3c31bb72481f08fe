"""docs/glossary.md: its terms are in order and explained, and every link to one leads there."""

import re

import pytest
from conftest import ROOT
from test_notebooks import LESSONS, PATHS

GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRIES = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n)+)", GLOSSARY.read_text(encoding="utf-8"), re.M))
LINK = re.compile(r"glossary\.(?:md|html)#([^)\s\"\\]*)")
PAGES = [*PATHS, *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]

every_term = pytest.mark.parametrize("term", ENTRIES)


def on_github(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def in_myst(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def test_terms_are_in_the_order_of_the_alphabet():
    headings = re.findall(r"^#+ (.+)$", GLOSSARY.read_text(encoding="utf-8"), re.M)
    assert [*ENTRIES] == headings[1:] == sorted(ENTRIES, key=str.casefold)


@every_term
def test_term_has_the_same_anchor_everywhere(term):
    assert on_github(term) == in_myst(term)


@every_term
def test_term_is_explained(term):
    *explained, last = ENTRIES[term].strip().split("\n\n")
    assert "Example: " in explained[0].replace("\n", " ")
    assert 2 <= len(re.findall(r"[.!?](?: |\n|$)", explained[0]))
    assert len(explained[0].split()) >= 25
    assert re.match(r"Notebooks? \[\d\d", last) and re.search(r"Source: .*\]\(", last)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_to_terms_lead_there(path):
    known = set(map(on_github, ENTRIES))
    assert set(LINK.findall(path.read_text(encoding="utf-8"))) <= known


@every_term
def test_term_lists_the_notebooks_that_link_to_it(term):
    link = f"glossary.md#{on_github(term)})"
    linking = [path.stem for path in LESSONS if link in path.read_text(encoding="utf-8")]
    listed = re.findall(r"\[(\w+)\]\(\.\./notebooks/(\w+)\.ipynb\)", ENTRIES[term])
    assert listed == [(stem.split("_")[0], stem) for stem in linking]
