"""A panel for notebooks: type a question, and see the corpus form its clusters anew."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from inbedder_utils.checks import checked_texts
from inbedder_utils.cluster_plots import cluster_map
from inbedder_utils.cluster_result import Clustering, shortened
from inbedder_utils.clustering import ask
from inbedder_utils.plots import use_style
from inbedder_utils.tokens import clean

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


def explore(
    encoder: Any, corpora: Mapping[str, Iterable[str]], question: str = "What is the text about?"
) -> "Explorer":
    """Make a panel to ask corpora questions in; the last line of a cell shows it.

    Args:
        encoder: anything that `inbedder_utils.clustering.ask` takes.
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
        map, table: pictures of the clusters.
        cluster, texts, chosen: widgets to pick a text with, and to read it with its answer.
        panel: all of them.
    """

    def __init__(self, encoder: Any, corpora: dict[str, list[str]], question: str) -> None:
        self._encoder, self._corpora = encoder, corpora
        wide = {"width": "98%"}
        numbers = [("auto", 0), *((str(k), k) for k in range(1, MOST + 1))]
        self.question = widgets.Text(question, description="question", continuous_update=False, layout=wide)
        self.corpus = widgets.Dropdown(options=list(corpora), description="corpus")
        self.number = widgets.SelectionSlider(options=numbers, description="clusters")
        self.button = widgets.Button(description="Ask", button_style="primary")
        self.status = widgets.HTML()
        self.map = widgets.Image(format="png", layout={"max_width": "100%", "object_fit": "contain"})
        self.table = widgets.HTML()
        self.cluster = widgets.Dropdown(description="cluster", layout=wide)
        self.texts = widgets.Select(description="texts", rows=8, layout=wide)
        self.chosen = widgets.HTML(layout=wide)
        beside = widgets.VBox([self.table, self.cluster, self.texts, self.chosen], layout={"flex": "1 1 24rem"})
        picture = widgets.VBox([self.map], layout={"flex": "1 1 24rem"})
        self.panel = widgets.VBox(
            [
                self.question,
                widgets.HBox([self.corpus, self.number, self.button], layout={"flex_flow": "row wrap"}),
                self.status,
                widgets.HBox([picture, beside], layout={"flex_flow": "row wrap"}),
            ]
        )
        self._form()
        self.question.observe(self._ask, "value")  # on Enter, and when the box is left
        self.button.on_click(self._ask)
        self.cluster.observe(self._list, "value")
        self.texts.observe(self._read, "value")

    def __repr__(self) -> str:
        return repr(self.result)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The panel; and for where it can't be shown, the map and the clusters in words."""
        picture = {"image/png": b64encode(self.map.value).decode(), "text/plain": repr(self)}
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
        self.map.value, self.table.value, self.result = _map(result), _table(result), result
        sized = zip(self.result.names, self.result.sizes, strict=True)
        self.cluster.options = [(f"{clean(name)} ({size:,})", c) for c, (name, size) in enumerate(sized)]
        self.cluster.value = 0
        self._list(None)
        self._formed = asked
        clusters = f"{len(self.result)} cluster{'s' * (len(self.result) != 1)}"
        self._say("; ".join([f"{len(texts):,} texts in {clusters}: {question}", *self.result.notes]))

    def _list(self, _: Any) -> None:
        """List the texts of the chosen cluster, typical ones first."""
        if self.cluster.value is None:  # between two sets of options
            return
        members = (self.result.assignments == self.cluster.value).nonzero()[0].tolist()
        order = [*dict.fromkeys([*self.result.explanations[self.cluster.value].typical, *members])][:LISTED]
        self.texts.options = [(shortened(" ".join(clean(self.result.texts[i]).split()), 100), i) for i in order]
        self.texts.value = order[0]
        self._read(None)

    def _read(self, _: Any) -> None:
        """Show the chosen text and its answer."""
        i, answers = self.texts.value, self.result.answers
        if i is not None:
            said = "" if answers is None or answers[i] is None else f"<p>answer: <b>{_e(answers[i])}</b></p>"
            self.chosen.value = f'<div style="line-height: 1.4" dir="auto">{_e(self.result.texts[i])}{said}</div>'

    def _say(self, what: str, colour: str = "inherit") -> None:
        self.status.value = f'<span style="color: {colour}">{_e(what[:1].upper() + what[1:])}</span>'


def _map(result: Clustering) -> bytes:
    with plt.rc_context({"text.parse_math": False}):  # in a question, two dollar signs are no formula
        use_style()
        fig = Figure(figsize=(5.5, 4.8), layout="constrained")
        ax = fig.subplots()
        ax.set_title(fill(clean(result.instruction), 60))
        cluster_map(result, ax)
        file = BytesIO()
        fig.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()


def _table(result: Clustering) -> str:
    head = "<tr>" + "".join(f"<th style='text-align: left'>{name}</th>" for name in ("cluster", "texts", "words"))
    rows = [
        f"<tr><td><b>{_e(e.name)}</b></td><td style='padding: 0 1em'>{size:,}</td>"
        f"<td>{_e(', '.join([*e.words][:6]))}</td></tr>"
        for e, size in zip(result.explanations, result.sizes, strict=True)
    ]
    return f"<table style='line-height: 1.5'>{head}</tr>{''.join(rows)}</table>"


def _e(text: str) -> str:
    return escape(clean(text))
