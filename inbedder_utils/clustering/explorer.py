"""A panel for notebooks: type a question, and see the corpus form its clusters anew."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from inbedder_utils.checks import checked_texts
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.plots import cluster_map
from inbedder_utils.clustering.result import Clustering, in_one_line
from inbedder_utils.plots import use_style

try:
    import ipywidgets as widgets
except ImportError as error:
    raise ImportError(
        "the explorer is made of ipywidgets, which is not installed: pip install 'inbedder-utils[notebooks]'"
    ) from error

MOST = 20
"""Clusters that can be asked for."""
LISTED = 200
"""Texts of a cluster to pick from, at most: a browser is slow with long lists."""
STYLE = """<style>
.inbedder-map { position: relative; max-width: 660px; line-height: 1.3; }
.inbedder-map img { display: block; width: 100%; }
.inbedder-map i { position: absolute; width: 1.8%; aspect-ratio: 1; border-radius: 50%; cursor: pointer;
  transform: translate(-50%, -50%); }
.inbedder-map i:hover { outline: 2px solid black; }
.inbedder-map i + div { display: none; position: absolute; top: 0; left: 0; right: 0; z-index: 1; padding: .5em;
  background: white; color: black; border: 1px solid #888; pointer-events: none; }
.inbedder-map i + .low { top: auto; bottom: 0; }
.inbedder-map i:hover + div { display: block; }
</style>"""
"""Each point of the map has its text after it, to be shown in the half of the map where the point is not."""
CLICK = (
    "const box = this.closest('.inbedder-explorer').querySelector('.inbedder-clicked input');"
    "if (event.target.dataset.i) {"
    "box.value = event.target.dataset.i; box.dispatchEvent(new Event('change', {bubbles: true})); }"
)
"""HTML tells Python nothing, but a number box does: a click types the number of the text into one that is not shown."""


def explore(
    encoder: Any, corpora: Mapping[str, Iterable[str]], question: str = "What is the text about?"
) -> "Explorer":
    """Make a panel to ask corpora questions in; the last line of a cell shows it.

    Args:
        encoder: anything that `inbedder_utils.clustering.asking.ask` takes.
        corpora: {name: texts}.
        question: the first one, asked at once of the first corpus.

    Returns:
        The panel, in a notebook; where none can be shown, a picture of the map.

    Raises:
        TypeError: if `corpora` is no dict of lists of strings.
        ValueError: if there is no corpus; and as `ask`, for the first question.
    """
    if not isinstance(corpora, Mapping):
        raise TypeError(f"corpora must be {{name: texts}}, got {type(corpora).__name__}: pass {{'reviews': texts}}")
    if not corpora:
        raise ValueError("corpora is empty: pass at least one, such as {'reviews': texts}")
    return Explorer(encoder, {str(name): checked_texts(texts) for name, texts in corpora.items()}, question)


class Explorer:
    """The panel that `explore` makes.

    Attributes:
        result: the clusters that are shown.
        question, corpus, number, button: widgets to ask with; the number 0 stands for the one with the best silhouette.
        status: a line that says what goes on, or what was wrong.
        map, table: pictures of the clusters; a text is read by pointing at it on the map, and chosen by a click.
        png: the map alone.
        clicked: the number of the text that was clicked.
        cluster, texts, chosen: widgets to pick a text with, and to read it with its answer.
        panel: all of them.
    """

    def __init__(self, encoder: Any, corpora: dict[str, list[str]], question: str) -> None:
        self._encoder = encoder.remembering() if hasattr(encoder, "remembering") else encoder
        self._corpora = corpora
        wide = {"width": "98%"}
        numbers = [("auto", 0), *((str(k), k) for k in range(1, MOST + 1))]
        self.question = widgets.Text(question, description="question", continuous_update=False, layout=wide)
        self.corpus = widgets.Dropdown(options=list(corpora), description="corpus")
        self.number = widgets.SelectionSlider(options=numbers, description="clusters")
        self.button = widgets.Button(description="Ask", button_style="primary")
        self.status = widgets.HTML()
        self.map, self.table = widgets.HTML(layout=wide), widgets.HTML()
        self.clicked = widgets.IntText(-1, layout={"display": "none"}).add_class("inbedder-clicked")
        self.cluster = widgets.Dropdown(description="cluster", layout=wide)
        self.texts = widgets.Select(description="texts", rows=8, layout=wide)
        self.chosen = widgets.HTML(layout=wide)
        beside = widgets.VBox([self.table, self.cluster, self.texts, self.chosen], layout={"flex": "1 1 24rem"})
        picture = widgets.VBox([self.map, self.clicked], layout={"flex": "1 1 24rem"})
        self.panel = widgets.VBox(
            [
                self.question,
                widgets.HBox([self.corpus, self.number, self.button], layout={"flex_flow": "row wrap"}),
                self.status,
                widgets.HBox([picture, beside], layout={"flex_flow": "row wrap"}),
            ]
        ).add_class("inbedder-explorer")
        self._form()
        self.question.observe(self._ask, "value")  # on Enter, and when the box is left
        self.button.on_click(self._ask)
        self.cluster.observe(self._list, "value")
        self.texts.observe(self._read, "value")
        self.clicked.observe(self._pick, "value")

    def __repr__(self) -> str:
        return repr(self.result)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The panel; and for where it can't be shown, the map and the clusters in words."""
        picture = {"image/png": b64encode(self.png).decode(), "text/plain": repr(self)}
        return self.panel._repr_mimebundle_() | picture

    @property
    def _asked(self) -> tuple[str, str, int]:
        return self.question.value, self.corpus.value, self.number.value

    def _ask(self, _: Any) -> None:
        """Form the clusters anew; what goes wrong is said in the panel, for nobody sees a callback's traceback."""
        if self._asked == self._formed:  # to click the button is to leave the box too
            return
        self.button.disabled = True
        try:
            if not self.question.value.strip():
                raise ValueError("type a question first, such as 'How does the customer feel?'")
            self._form()
        except Exception as error:
            self._say(f"{str(error) or type(error).__name__}; the clusters below are those of before", "#b00020")
        finally:
            self.button.disabled = False

    def _form(self) -> None:
        question, corpus, number = asked = self._asked
        texts = self._corpora[corpus]
        self._say(f"reading {len(texts):,} texts with the question in mind ...")
        result = ask(self._encoder, texts, question, number or None)
        self.result = result
        self.png, places = _drawn(result)
        self.map.value, self.table.value = self._map(places), _table(result)
        sized = zip(self.result.names, self.result.sizes, strict=True)
        self.cluster.options = [(f"{name} ({size:,})", c) for c, (name, size) in enumerate(sized)]
        self.cluster.value = 0
        self._list(None)
        self._formed = asked
        clusters = f"{len(self.result)} cluster{'s' * (len(self.result) != 1)}"
        self._say("; ".join([f"{len(texts):,} texts in {clusters}: {result.instruction}", *self.result.notes]))

    def _map(self, places: np.ndarray) -> str:
        """The picture of the map, with a point over each text."""
        points = [
            f'<i style="left: {x:.1f}%; top: {y:.1f}%" data-i="{i}"></i>'
            f'<div dir="auto"{" class=low" * bool(y < 50)}>{escape(self._line(i, 200))}{self._answer(i)}</div>'
            for i, (x, y) in zip(self.result.shown.tolist(), places, strict=True)
        ]
        picture = f'<img alt="A map of the texts" src="data:image/png;base64,{b64encode(self.png).decode()}">'
        return f'{STYLE}<div class="inbedder-map" onclick="{CLICK}">{picture}{"".join(points)}</div>'

    def _line(self, i: int, length: int) -> str:
        return in_one_line(self.result.texts[i], length)

    def _answer(self, i: int) -> str:
        answers = self.result.answers
        return "" if answers is None or answers[i] is None else f"<div>answer: <b>{escape(answers[i])}</b></div>"

    def _pick(self, _: Any) -> None:
        """Choose the text that was clicked on the map."""
        i = self.clicked.value
        if 0 <= i < len(self.result.texts):
            self.cluster.value = int(self.result.assignments[i])
            self._list(None, i)
            self.clicked.value = -1  # so that a second click on the same text is a change too

    def _list(self, _: Any, first: int | None = None) -> None:
        """List the texts of the chosen cluster: first the one that was asked for, then typical ones."""
        if self.cluster.value is None:  # between two sets of options
            return
        members = (self.result.assignments == self.cluster.value).nonzero()[0].tolist()
        typical = self.result.explanations[self.cluster.value].typical
        order = [*dict.fromkeys([*([] if first is None else [first]), *typical, *members])][:LISTED]
        self.texts.options = [(self._line(i, 100), i) for i in order]
        self.texts.value = order[0]
        self._read(None)

    def _read(self, _: Any) -> None:
        """Show the chosen text and its answer."""
        i = self.texts.value
        if i is not None:
            read = f"{escape(self.result.texts[i])}{self._answer(i)}"
            self.chosen.value = f'<div style="line-height: 1.4" dir="auto">{read}</div>'

    def _say(self, what: str, colour: str = "inherit") -> None:
        self.status.value = f'<span style="color: {colour}">{escape(what[:1].upper() + what[1:])}</span>'


def _drawn(result: Clustering) -> tuple[bytes, np.ndarray]:
    """The map as PNG, and the places of the texts on it: (shown, 2) in percent, from the left and from the top."""
    use_style()
    fig = Figure(figsize=(5.5, 4.8), dpi=120, layout="constrained")
    ax = fig.subplots()
    ax.set_title(fill(result.instruction, 60), parse_math=False)
    cluster_map(result, ax)
    file = BytesIO()
    fig.savefig(file, format="png", dpi="figure", metadata={"Software": None})
    x, y = 100 * (ax.transData.transform(result.coordinates) / fig.bbox.size).T
    return file.getvalue(), np.column_stack([x, 100 - y])


def _table(result: Clustering) -> str:
    head = "<tr>" + "".join(f"<th style='text-align: left'>{name}</th>" for name in ("cluster", "texts", "words"))
    rows = [
        f"<tr><td><b>{escape(e.name)}</b></td><td style='padding: 0 1em'>{size:,}</td>"
        f"<td>{escape(', '.join([*e.words][:6]))}</td></tr>"
        for e, size in zip(result.explanations, result.sizes, strict=True)
    ]
    return f"<table style='line-height: 1.5'>{head}</tr>{''.join(rows)}</table>"
