"""A panel for notebooks: type a question, and see the corpus form its clusters anew."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure

from inbedder_utils.checks import checked_texts
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.display import in_one_line
from inbedder_utils.clustering.plots import cluster_map
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.plots import use_style

try:
    import ipywidgets as widgets
    from ipympl.backend_nbagg import Canvas, FigureManager
except ImportError as error:
    raise ImportError(
        "the explorer is made of ipywidgets and ipympl, which are not both installed: "
        "pip install 'inbedder-utils[notebooks]'"
    ) from error

CLUSTERS_OFFERED = 20
"""Clusters that can be asked for, at most."""
TEXTS_LISTED = 200
"""Texts of a cluster to pick from, at most: a browser is slow with long lists."""
POINTED_AT = 10
"""Pixels (of a screen of common density) between the mouse and a text that is pointed at, at most."""
HINT = "<i>Point at a text on the map to read it; a click chooses it.</i>"


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
        question, corpus, number, button: widgets to ask with; the number 0 stands for one that `ask` chooses.
        status: a line that says what goes on, or what was wrong.
        map, table: pictures of the clusters; a text is read by pointing at it on the map, and chosen by a click.
        pointed: the text that is pointed at, and its answer.
        cluster, texts, chosen: widgets to pick a text with, and to read it with its answer.
        panel: all of them.
    """

    def __init__(self, encoder: Any, corpora: dict[str, list[str]], question: str) -> None:
        self._encoder = encoder.remembering() if hasattr(encoder, "remembering") else encoder
        self._corpora = corpora
        wide = {"width": "98%"}
        numbers = [("auto", 0), *((str(k), k) for k in range(1, CLUSTERS_OFFERED + 1))]
        self.question = widgets.Text(question, description="question", continuous_update=False, layout=wide)
        self.corpus = widgets.Dropdown(options=list(corpora), description="corpus")
        self.number = widgets.SelectionSlider(options=numbers, description="clusters")
        self.button = widgets.Button(description="Ask", button_style="primary")
        self.status = widgets.HTML()
        self.map = Canvas(Figure(figsize=(5.5, 4.8), dpi=90, layout="constrained"))
        FigureManager(self.map, 0)  # tells the canvas what the mouse does
        for part in ("toolbar_visible", "header_visible", "footer_visible", "resizable"):
            setattr(self.map, part, False)
        self.pointed = widgets.HTML(layout={"height": "76px", "overflow": "hidden"})
        self.table = widgets.HTML()
        self.cluster = widgets.Dropdown(description="cluster", layout=wide)
        self.texts = widgets.Select(description="texts", rows=8, layout=wide)
        self.chosen = widgets.HTML(layout=wide)
        self._form()
        self.question.observe(self._ask, "value")  # on Enter, and when the box is left
        self.button.on_click(self._ask)
        self.cluster.observe(self._list, "value")
        self.texts.observe(self._read, "value")
        self.map.mpl_connect("motion_notify_event", self._point)
        self.map.mpl_connect("button_press_event", self._pick)
        rows = {"flex_flow": "row wrap"}
        beside = widgets.VBox([self.table, self.cluster, self.texts, self.chosen], layout={"flex": "1 1 20rem"})
        picture = widgets.VBox([self.pointed, self.map], layout={"flex": "0 0 auto", "width": "510px"})
        settings = widgets.HBox([self.corpus, self.number, self.button], layout=rows)
        self.panel = widgets.VBox([self.question, settings, self.status, widgets.HBox([picture, beside], layout=rows)])

    def __repr__(self) -> str:
        return repr(self.result)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The panel; and for where it can't be shown, the map and the clusters in words."""
        picture = {"image/png": b64encode(self.png).decode(), "text/plain": repr(self)}
        return self.panel._repr_mimebundle_() | picture

    @property
    def png(self) -> bytes:
        """The map alone."""
        file = BytesIO()
        self.map.figure.savefig(file, format="png", dpi="figure", metadata={"Software": None})
        return file.getvalue()

    @property
    def _settings(self) -> tuple[str, str, int]:
        return self.question.value, self.corpus.value, self.number.value

    def _ask(self, _: Any) -> None:
        """Form the clusters anew; what goes wrong is said in the panel, for nobody sees a callback's traceback."""
        if self._settings == self._formed:  # to click the button is to leave the box too
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
        question, corpus, number = settings = self._settings
        texts = self._corpora[corpus]
        self._say(f"reading {len(texts):,} texts with the question in mind ...")
        self.result = result = ask(self._encoder, texts, question, number or None)
        use_style()
        self.map.figure.clear()
        ax = self.map.figure.subplots()
        ax.set_title(fill(result.instruction, 60), parse_math=False)
        cluster_map(result, ax)
        self.map.draw_idle()
        self.pointed.value, self.table.value = HINT, _table(result)
        sized = zip(result.names, result.sizes, strict=True)
        self.cluster.options = [(f"{name} ({size:,})", c) for c, (name, size) in enumerate(sized)]
        self.cluster.value = 0
        self._list(None)
        self._formed = settings
        clusters = f"{len(result)} cluster{'s' * (len(result) != 1)}"
        self._say("; ".join([f"{len(texts):,} texts in {clusters}: {result.instruction}", *result.notes]))

    def _text_at(self, event: MouseEvent) -> int | None:
        """The number of the text under the mouse."""
        if event.inaxes is None:
            return None
        away = event.inaxes.transData.transform(self.result.coordinates) - (event.x, event.y)
        distances = np.hypot(*away.T)
        near = distances.min() <= POINTED_AT * self.map.device_pixel_ratio
        return int(self.result.shown[distances.argmin()]) if near else None

    def _point(self, event: MouseEvent) -> None:
        """Show the text that is pointed at."""
        i = self._text_at(event)
        self.pointed.value = HINT if i is None else self._shown(in_one_line(self.result.texts[i], 200), i)

    def _shown(self, text: str, i: int) -> str:
        """Text number i, or the beginning of it, and its answer; nothing in them becomes HTML."""
        answer = self.result.answers[i] if self.result.answers is not None else None
        said = "" if answer is None else f"<div>answer: <b>{escape(answer)}</b></div>"
        return f'<div style="line-height: 1.4" dir="auto">{escape(text)}{said}</div>'

    def _pick(self, event: MouseEvent) -> None:
        """Choose the text that was clicked on the map."""
        i = self._text_at(event)
        if i is not None:
            self.cluster.value = int(self.result.assignments[i])
            self._list(None, i)

    def _list(self, _: Any, first: int | None = None) -> None:
        """List the texts of the chosen cluster: first the one that was asked for, then typical ones."""
        if self.cluster.value is None:  # between two sets of options
            return
        members = (self.result.assignments == self.cluster.value).nonzero()[0].tolist()
        typical = self.result.explanations[self.cluster.value].typical
        order = [*dict.fromkeys([*([] if first is None else [first]), *typical, *members])][:TEXTS_LISTED]
        self.texts.options = [(in_one_line(self.result.texts[i], 100), i) for i in order]
        self.texts.value = order[0]
        self._read(None)

    def _read(self, _: Any) -> None:
        """Show the chosen text and its answer."""
        i = self.texts.value
        if i is not None:
            self.chosen.value = self._shown(self.result.texts[i], i)

    def _say(self, what: str, colour: str = "inherit") -> None:
        self.status.value = f'<span style="color: {colour}">{escape(what[:1].upper() + what[1:])}</span>'


def _table(result: Clustering) -> str:
    head = "<tr>" + "".join(f"<th style='text-align: left'>{name}</th>" for name in ("cluster", "texts", "words"))
    rows = [
        f"<tr><td><b>{escape(e.name)}</b></td><td style='padding: 0 1em'>{size:,}</td>"
        f"<td>{escape(', '.join([*e.words][:6]))}</td></tr>"
        for e, size in zip(result.explanations, result.sizes, strict=True)
    ]
    return f"<table style='line-height: 1.5'>{head}</tr>{''.join(rows)}</table>"
