"""How clusters look in every figure: colours, and markers or hatches for those who see no colours."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from inbedder_utils.plots import MARKERS

HATCHES = ["", "///", "...", "\\\\\\", "xxx", "---", "ooo", "+++"]
OUTSIDE = "0.6"
"""Colour of the texts in no cluster."""


def cluster_looks(k: int) -> list[dict[str, Any]]:
    """Colour and marker of each cluster; the last are those of cluster -1."""
    colours = sns.color_palette("colorblind")
    return [
        *(
            {"color": colours[c % len(colours)], "marker": MARKERS[c % len(MARKERS)], "edgecolor": "white"}
            for c in range(k)
        ),
        {"color": OUTSIDE, "marker": "."},
    ]


def stacked_bars(counts: pd.DataFrame, ax: Axes, title: str, *, last_is_outside: bool = False) -> None:
    """Draw a bar of 100 percent for each row of a table of numbers of texts, its columns being the parts.

    `title` is that of the legend, which is beside the axes; the last part may be of the texts in no cluster.
    """
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    left = np.zeros(len(shares))
    colours, bars = sns.color_palette("colorblind"), []
    for i, part in enumerate(shares.columns):
        look = {"color": colours[i % len(colours)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}
        look |= {"color": OUTSIDE, "hatch": ""} if last_is_outside and i == len(shares.columns) - 1 else {}
        bars.append(ax.barh(range(len(shares)), shares[part], left=left, height=0.75, linewidth=0.5, **look))
        left += shares[part].to_numpy()
    ax.set_yticks(range(len(shares)), [f"{name} ({n:,})" for name, n in counts.sum(axis=1).items()])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
    ax.legend(bars, list(shares.columns), title=title, handleheight=1.4, **beside)  # labels may begin with "_"


def as_written(ax: Axes) -> Axes:
    """Have no two dollar signs read as a formula: not in names, nor in a question that becomes the title."""
    legend = ax.get_legend()
    named = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels()]
    for text in [*named, *(legend.get_texts() if legend else [])]:
        text.set_parse_math(False)
    return ax
