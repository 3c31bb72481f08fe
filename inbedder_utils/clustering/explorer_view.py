"""What the explorer shows of clusters and texts; nothing in texts, names or questions becomes HTML."""

from collections.abc import Sequence
from html import escape
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from inbedder_utils.clustering.display import counted, in_one_line, kind, row
from inbedder_utils.clustering.levels import shown_levels
from inbedder_utils.clustering.partition import NOISE
from inbedder_utils.clustering.plots import cluster_map
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.plots import use_style

BEGINNING = 200
"""Characters of a text that is pointed at, at most."""


def draw(result: Clustering, figure: Figure) -> None:
    """Draw the map of the clusters, under their question."""
    use_style()
    figure.clear()
    ax = figure.subplots()
    ax.set_title(fill(result.instruction, 60), parse_math=False)
    cluster_map(result, ax)


def groups(result: Clustering) -> list[tuple[int, str, int]]:
    """Number, name and size of each cluster; or of each option, and then of "other"."""
    sizes = [*result.sizes.tolist(), int((result.assignments == NOISE).sum())]
    named = [*zip([*range(len(result)), NOISE], result.names_and_outside, sizes, strict=True)]
    return named[: len(result)] if result.options is None else named


def headline(result: Clustering, place: Sequence[str]) -> str:
    """What is shown, with its notes; `place` is the corpus, and the clusters that were split to get there."""
    found = f"{len(result.texts):,} texts in {counted(result)}"
    return "; ".join([f"{' > '.join(place)}: {found}: {result.instruction}", *result.notes])


def summary(result: Clustering) -> str:
    """A table of names, numbers of texts, shares and words; and the tree of the clusters."""
    rows = [row("th", [kind(result), "texts", "share", "words"])]
    for c, name, size in groups(result):
        words = escape(", ".join([*result.explanations[c].words][:6])) if c != NOISE else ""
        rows.append(row("td", [f"<b>{escape(name)}</b>", f"{size:,}", f"{size / len(result.texts):.0%}", words]))
    table = f"<table style='line-height: 1.5; border-spacing: 0.8em 0'>{''.join(rows)}</table>"
    branches = [
        f"<div style='padding-left: {1.5 * depth}em'>{escape(branch.name)} ({branch.size:,})</div>"
        for depth, branch in shown_levels(result)
    ]
    if not branches:
        return table
    look = "line-height: 1.4; margin: 0.6em 0.8em; max-height: 14em; overflow-y: auto"
    return f"{table}<div style='{look}'>{''.join(branches)}</div>"


def text_shown(result: Clustering, i: int, whole: bool) -> str:
    """Text number i and its answer, with how far it belongs to the nearest two clusters; or how the text begins."""
    text = result.texts[i] if whole else in_one_line(result.texts[i], BEGINNING)
    answer = result.answers[i] if result.answers is not None else None
    said = "" if answer is None else f"<div>answer: <b>{escape(answer)}</b></div>"
    said += f"<div>{escape(_nearest(result, i))}</div>" if whole else ""
    return f'<div style="line-height: 1.4" dir="auto">{escape(text)}{said}</div>'


def _nearest(result: Clustering, i: int) -> str:
    """Such as "angry 72%, worried 20%"."""
    shares = result.memberships[i]  # (k,)
    best = ", ".join(f"{result.names[c]} {shares[c]:.0%}" for c in np.argsort(-shares, kind="stable")[:2])
    return best if result.assignments[i] != NOISE else f"{result.names_and_outside[NOISE]}; nearest: {best}"
