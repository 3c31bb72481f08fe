"""A panel for notebooks: type a question, and see the corpus form its clusters anew, or sorted into options."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backend_bases import MouseEvent
from matplotlib.figure import Figure

from inbedder_utils.checks import checked_texts
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.display import in_one_line
from inbedder_utils.clustering.explorer_view import draw, groups, headline, summary, text_shown
from inbedder_utils.clustering.kept import Kept, remembering
from inbedder_utils.clustering.partition import NOISE

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
        question, options, corpus, number, button: widgets to ask with. Options, such as "late; lost" or "late, lost",
            are what texts are sorted into; without them clusters are formed, whose number `ask` chooses if it is 0.
        status: a line that says what goes on, what is shown, or what was wrong.
        map, table: pictures of the clusters; a text is read by pointing at it on the map, and chosen by a click. Below
            the table is the tree of 3 to 12 clusters.
        pointed: the text that is pointed at, and its answer.
        cluster, texts, chosen: widgets to pick a text with, and to read it with its answer and its clusters.
        split, up: buttons to see the picked cluster alone, divided anew, and to go back.
        panel: all of them.
    """

    def __init__(self, encoder: Any, corpora: dict[str, list[str]], question: str) -> None:
        self._encoder = remembering(encoder)
        self._kept = Kept(self._encoder)
        self._corpora = corpora
        wide = {"width": "98%"}
        numbers = [("auto", 0), *((str(k), k) for k in range(1, CLUSTERS_OFFERED + 1))]
        self.question = widgets.Text(question, description="question", continuous_update=False, layout=wide)
        hint = "or what to sort the texts into: angry; grateful; worried"
        self.options = widgets.Text(description="options", placeholder=hint, continuous_update=False, layout=wide)
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
        self.cluster = widgets.Dropdown(description="cluster", layout={"flex": "1 1 auto"})
        self.split, self.up = (widgets.Button(description=name, layout={"width": "4rem"}) for name in ("split", "up"))
        self.texts = widgets.Select(description="texts", rows=8, layout=wide)
        self.chosen = widgets.HTML(layout=wide)
        self._form()
        self._connect()
        self.panel = self._laid_out()

    def _connect(self) -> None:
        for box in (self.question, self.options):
            box.observe(self._ask, "value")  # on Enter, and when the box is left
        widgets.dlink((self.options, "value"), (self.number, "disabled"), lambda typed: bool(typed.strip()))
        self.button.on_click(self._ask)
        self.split.on_click(lambda _: self._take(self._divide))
        self.up.on_click(lambda _: self._take(self._go_up))
        self.cluster.observe(self._list, "value")
        self.texts.observe(self._read, "value")
        self.map.mpl_connect("motion_notify_event", self._point)
        self.map.mpl_connect("button_press_event", self._pick)

    def _laid_out(self) -> widgets.VBox:
        rows = {"flex_flow": "row wrap"}
        picking = widgets.HBox([self.cluster, self.split, self.up], layout={"width": "98%"})
        beside = widgets.VBox([self.table, picking, self.texts, self.chosen], layout={"flex": "1 1 20rem"})
        picture = widgets.VBox([self.pointed, self.map], layout={"flex": "0 0 auto", "width": "510px"})
        settings = widgets.HBox([self.corpus, self.number, self.button], layout=rows)
        below = widgets.HBox([picture, beside], layout=rows)
        return widgets.VBox([self.question, self.options, settings, self.status, below])

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
    def _settings(self) -> tuple[str, str, int | None, list[str] | None]:
        """Question, corpus, number of clusters and options; there is a number only without options."""
        typed = self.options.value
        if not typed.strip():
            return self.question.value, self.corpus.value, self.number.value or None, None
        options = [option.strip() for option in typed.split(";" if ";" in typed else ",") if option.strip()]
        return self.question.value, self.corpus.value, None, options

    def _ask(self, _: Any) -> None:
        """Form the clusters anew."""
        if self._settings == self._formed:  # to click the button is to leave the box too
            self._tell()
        else:
            self._take(self._form)

    def _take(self, step: Callable[[], None]) -> None:
        """Take a step; what goes wrong is said in the panel, for nobody sees a callback's traceback."""
        self.button.disabled = self.split.disabled = self.up.disabled = True
        try:
            step()
        except Exception as error:
            said = str(error) or type(error).__name__
            self._say(f"{said[:1].upper() + said[1:]}; the clusters below are those of before", "#b00020")
        finally:
            self._allow()

    def _allow(self) -> None:
        """Let the buttons be clicked that have something to do."""
        self.button.disabled, self.up.disabled = False, not self._path
        self.split.disabled = self.cluster.value == NOISE

    def _form(self) -> None:
        question, corpus, number, options = settings = self._settings
        if not question.strip():
            raise ValueError("type a question first, such as 'How does the customer feel?'")
        texts = self._corpora[corpus]
        self._say(f"Reading {len(texts):,} texts with the question in mind ...")
        result = replace(ask(self._kept, texts, question, number, options=options), encoder=self._encoder)
        self._levels, self._path, self._formed = [(result, summary(result))], [], settings
        self._show()

    def _divide(self) -> None:
        cluster = self.cluster.value
        self._say(f"Dividing {self.result.names[cluster]} ...")
        parts = self.result.split(cluster)
        if len(parts) == 1:
            raise ValueError(f"{self.result.names[cluster]!r} stays {'; '.join(parts.notes)}")
        self._levels.append((parts, summary(parts)))
        self._path.append(cluster)
        self._show()

    def _go_up(self) -> None:
        self._levels.pop()
        self._show(self._path.pop())

    def _show(self, cluster: int | None = None) -> None:
        """Show the lowest level, and list the texts of a cluster."""
        self.result, self.table.value = self._levels[-1]
        draw(self.result, self.map.figure)
        self.map.draw_idle()
        self.pointed.value = HINT
        self.cluster.options = [(f"{name} ({size:,})", c) for c, name, size in groups(self.result) if size]
        self.cluster.value = self.cluster.options[0][1] if cluster is None else cluster
        self._list(None)
        self._tell()

    def _tell(self) -> None:
        """Say what is shown."""
        above = zip(self._levels, self._path, strict=False)
        self._say(headline(self.result, [self._formed[1], *(result.names[c] for (result, _), c in above)]))

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
        self.pointed.value = HINT if i is None else text_shown(self.result, i, whole=False)

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
        self._allow()
        members = (self.result.assignments == self.cluster.value).nonzero()[0].tolist()
        typical = [] if self.cluster.value == NOISE else self.result.explanations[self.cluster.value].typical
        order = [*dict.fromkeys([*([] if first is None else [first]), *typical, *members])][:TEXTS_LISTED]
        self.texts.options = [(in_one_line(self.result.texts[i], 100), i) for i in order]
        self.texts.value = order[0]
        self._read(None)

    def _read(self, _: Any) -> None:
        """Show the chosen text, its answer, and how far it belongs to which clusters."""
        if self.texts.value is not None:
            self.chosen.value = text_shown(self.result, self.texts.value, whole=True)

    def _say(self, what: str, colour: str = "inherit") -> None:
        self.status.value = f'<span style="color: {colour}">{escape(what)}</span>'
