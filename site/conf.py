"""Sphinx makes the course into web pages: its sources are the files of the repository, where they lie."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import ziamath
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

SECTIONS = {
    "The course": r"notebooks/\d",
    "Solutions": "notebooks/solutions/",
    "Teaching": "teaching/",
    "What it makes": "site/",
    "Guides": "docs/",
    "Cards and project": "",
}
"""Captions, and how the names of their pages begin: a page is in the first that fits, an empty section is left out."""

BADGES = re.compile(r"\[!\[Open in Colab\].*?labpath=[^)]*\)")

project = "InBedder"
extensions = ["myst_nb"]
root_doc = "README"
include_patterns = ["**.md", "notebooks/[0-9]*.ipynb", "notebooks/solutions/*.ipynb"]
exclude_patterns = [".*", "**/.*", "build", "checkpoints", "dist", "runs", "tests"]

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # it would be loaded from elsewhere
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]  # its picture is shown
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 6

html_theme = "furo"
html_title = "InBedder, a course"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_math_renderer = "outlines"
html_copy_source = html_show_sphinx = html_show_copyright = False
pygments_dark_style = "monokai"
ziamath.config.svg2 = False  # no ids, which the formulas of a page would share


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add sections to the README, alternative texts to notebooks' figures; take out badges, loaded from elsewhere."""
    source[0] = BADGES.sub("", source[0])
    if docname == root_doc:
        source[0] += "".join(sections(app.env.found_docs - {root_doc}))
    elif app.env.doc2path(docname).suffix == ".ipynb":
        notebook = json.loads(source[0])
        for at, cell in enumerate(notebook["cells"]):
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
                cell["metadata"]["mystnb"] = {"image": {"alt": alternative_text(notebook["cells"], at)}}
        source[0] = json.dumps(notebook)


def sections(pages: Iterable[str]) -> Iterator[str]:
    """What the sidebar shows; it is also the order of the pages."""
    left = sorted(pages)
    for caption, beginning in SECTIONS.items():
        found = [page for page in left if re.match(beginning, page)]
        left = [page for page in left if page not in found]
        if found:
            yield "\n".join(["\n```{toctree}", f":caption: {caption}", ":hidden:", "", *found, "```\n"])


def alternative_text(cells: list[dict], at: int) -> str:
    """The heading above a figure, and the first sentence after it that says what is to be seen, if one does."""
    above = "\n".join("".join(cell["source"]) for cell in cells[:at] if cell["cell_type"] == "markdown")
    after = next(("".join(cell["source"]) for cell in cells[at + 1 :] if cell["cell_type"] == "markdown"), "")
    heading = re.findall(r"^#+ (.+)$", above, flags=re.MULTILINE)[-1:]
    seen = re.match(r"\*\*What to see:?\*\*:?\s*(.+?[.:;?!])(?=\s|$)", after, flags=re.DOTALL)
    text = f"Figure under the heading “{' '.join(heading)}”{': ' + seen[1] if seen else '.'}"
    return re.sub(r"\[([^]]*)\]\([^)]*\)|[*`$]", r"\1", " ".join(text.split()))


def resolve_folders(app: Sphinx, doctree: nodes.document) -> None:
    """Let a link to a folder lead to its README, or be no link if it has none."""
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(doctree.findall(pending_xref)):
        target = folder / link["reftarget"]
        if link["reftype"] == "myst" and link["refdomain"] is None and target.is_dir():
            readme = app.env.path2doc(target.resolve() / "README.md")
            if readme in app.env.found_docs:
                link.attributes |= {"refdomain": "doc", "reftarget": readme, "reftargetid": None}
            else:
                link.replace_self(link.children)


def visit_math(self, node: nodes.Element) -> None:
    """Write a formula as outlines, which need no font and no script, with the formula in TeX as its title."""
    tex, inline = node.astext(), isinstance(node, nodes.math)
    formula = ziamath.Latex(tex, size=17, inline=inline, title=tex)
    if "\\" in formula.mathmlstr():
        getLogger(__name__).warning("the formula has a command that is not known: %s", tex, location=node)
    place = f"vertical-align: {formula.getyofst() - formula.margin:.1f}px"
    tag = "span" if inline else "div"
    svg = formula.svg().replace("<svg", f'<svg role="img" style="{place}"', 1)
    self.body.append(f'<{tag} class="formula">{svg}</{tag}>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("outlines", inline_renderers=(visit_math, None), block_renderers=(visit_math, None))
    app.connect("source-read", prepare)
    app.connect("doctree-read", resolve_folders)
