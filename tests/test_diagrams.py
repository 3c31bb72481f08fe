"""The diagrams of the course: drawn by scripts/diagrams.py, described for those who can't see them."""

import re
import runpy
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
from conftest import FIGURES, ROOT
from test_notebooks import PATHS

from inbedder_utils import load_encoder

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["flow", "poolings", "read_once", "training", "explanation"]
SHOWN = re.compile(r"!\[([^\]]*)\]\((?:\.\./)+figures/diagrams/(\w+)\.svg\)")

every_diagram = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def script():
    return SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "diagrams.py")))


def test_the_folder_has_what_the_script_draws(script):
    committed = {path.stem: path.read_bytes() for path in (FIGURES / "diagrams").iterdir()}
    assert committed == {name: svg.encode() for name, svg in script.drawn().items()}
    assert sorted(committed) == sorted(script.ALT) == sorted(NAMES)


@every_diagram
def test_has_a_title_and_a_description(script, name):
    root = ElementTree.parse(FIGURES / "diagrams" / f"{name}.svg").getroot()
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text == script.ALT[name]


@every_diagram
def test_words_are_large_enough_for_a_telephone_and_lie_on_the_card(script, name):
    root = ElementTree.parse(FIGURES / "diagrams" / f"{name}.svg").getroot()
    width, height = map(float, root.get("viewBox").split()[2:])
    assert width == script.WIDTH
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("font-size")) >= 16
        assert 0 < float(text.get("x")) < width and 0 < float(text.get("y")) < height - 10


def test_the_notebooks_use_the_descriptions(script):
    for path in PATHS:
        for cell in nbformat.read(path, as_version=4).cells:
            for alt, name in SHOWN.findall(cell.source):
                assert alt == script.ALT[name], f"{path.name}: {name}"


def test_poolings_are_drawn_as_they_are_in_the_code(script, tiny_encoder):
    masked = load_encoder(device="cpu", n_masks=2)
    end = next(iter(tiny_encoder.reader.special_ids))
    for name, places in script.CAUSAL.items():
        (ranges,) = tiny_encoder.reader._ranges(name, [[0] * 6], [[7, 8, end]])
        assert {place for start, stop in ranges for place in range(start, stop)} == places
    for name, places in script.MASKED.items():
        assert {place for start, stop in masked.reader._ranges(name, 9) for place in range(start, stop)} == places
