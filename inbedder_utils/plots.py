"""Figures: each function draws a table into an axes; the same look everywhere, legible in greyscale.

`ax` is where to draw, and is returned.
"""

import re
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]


def use_style() -> None:
    """Set fonts, grid and a colour-blind-safe palette for all figures that follow."""
    sns.set_theme(style="ticks", palette="colorblind", font_scale=0.9)
    plt.rcParams |= {"figure.dpi": 110, "savefig.dpi": 150, "pdf.fonttype": 42}
    plt.rcParams |= {"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False}


def figure_folder(checkpoint: str, committed: str) -> Path:
    """Where a notebook's figures go: figures/, or build/figures/ if they are not of the `committed` checkpoint.

    Both are in the repository if the notebook runs in its folder there, and beside the notebook otherwise.
    """
    root = Path("..") if Path("../figures").is_dir() else Path()
    return root / "figures" if checkpoint == committed else root / "build/figures" / re.sub(r"\W+", "-", checkpoint)


def save_figure(fig: Figure, name: str, folder: str | Path) -> Path:
    """Write `name`.png, whose path is returned, and `name`.pdf, the same bytes for the same data.

    The name starts with the notebook's number, such as "02_two_maps"; the folder is made if it is not there.

    Raises:
        ValueError: if `name` is not a bare file name without extension.
    """
    if Path(name).name != name or "." in name or not name:
        raise ValueError(f"name must be a bare file name such as '02_two_maps', got {name!r}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fig.savefig(folder / f"{name}.png", bbox_inches="tight", metadata={"Software": None})
    fig.savefig(folder / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None, "Producer": None})
    return folder / f"{name}.png"


def similarity_heatmap(similarity: np.ndarray, groups: Sequence[str], ax: Axes, *, bar: bool = True) -> Axes:
    """Draw cosine similarities (n, n), -1 to 1, sorted by the n labels in `groups`, with lines between groups."""
    groups = np.asarray(groups)
    order = np.argsort(groups, kind="stable")
    names, sizes = np.unique(groups, return_counts=True)
    ends = np.cumsum(sizes)
    look = {"vmin": -1, "vmax": 1, "cmap": "cividis", "square": True, "rasterized": True}
    label = {"label": "cosine similarity"} if bar else None
    sns.heatmap(similarity[np.ix_(order, order)], cbar=bar, cbar_kws=label, ax=ax, **look)
    ax.set_xticks(ends - sizes / 2, names, rotation=45, ha="right")
    ax.set_yticks(ends - sizes / 2, names, rotation=0)
    for end in ends[:-1]:
        ax.axhline(end, color="white", lw=1)
        ax.axvline(end, color="white", lw=1)
    return ax


def text_map(points: np.ndarray, groups: Sequence[str], ax: Axes, *, legend_title: str = "") -> Axes:
    """Scatter n texts at points (n, 2), a colour and marker per group; no ticks, for the unit has no meaning."""
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], legend_title: list(groups)})
    order = sorted(set(groups))
    markers = list(islice(cycle(MARKERS), len(order)))
    style = {"hue": legend_title, "style": legend_title, "hue_order": order, "style_order": order, "markers": markers}
    sns.scatterplot(table, x="x", y="y", **style, palette="colorblind", s=38, edgecolor="white", ax=ax)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def score_by_layer(scores: pd.DataFrame, ax: Axes, *, score: str) -> Axes:
    """Draw the column named `score` over the column layer, one line for each in the column pooling."""
    order = list(dict.fromkeys(scores["pooling"]))
    marks = {"hue": "pooling", "style": "pooling", "hue_order": order, "style_order": order, "markers": True}
    sns.lineplot(scores, x="layer", y=score, **marks, dashes=False, palette="colorblind", ax=ax)
    ax.set(xticks=sorted(scores["layer"].unique()), xlabel="layer (0 = token embeddings)")
    return ax


def score_rows(scores: pd.DataFrame, ax: Axes, *, row: str, score: str, group: str) -> Axes:
    """Draw the column named `score`, in percent: a row for each value of the column `row`, a marker for each group."""
    rows, groups = list(scores[row].unique()), list(scores[group].unique())
    for i, name in enumerate(groups):
        dots = scores[scores[group] == name]
        height = dots[row].map(rows.index) + 0.3 * (i - (len(groups) - 1) / 2)
        look = {"marker": MARKERS[i], "color": sns.color_palette("colorblind")[i], "mec": "black", "mew": 0.4}
        ax.plot(dots[score], height, ls="", alpha=0.7, label=name, **look)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-2, 102), xlabel=score)
    ax.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
    ax.tick_params(which="minor", length=0)
    ax.grid(axis="y", which="minor", color="0.85")
    ax.legend(title=group, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def word_bars(words: Sequence[str], probabilities: Sequence[float], ax: Axes) -> Axes:
    """Draw the probabilities of the words that a state predicts, the likeliest on top."""
    ax.barh(range(len(words)), probabilities, color=sns.color_palette("colorblind")[0])
    ax.set_yticks(range(len(words)), words)
    ax.invert_yaxis()
    ax.set(xlabel="probability as the first answer token", xlim=(0, 1))
    return ax


def vector_lines(vectors: np.ndarray, names: Sequence[str], ax: Axes) -> Axes:
    """Draw n vectors of two numbers, (n, 2), as lines from the origin, each with a marker and its name at the end."""
    markers = islice(cycle(MARKERS), len(vectors))
    for (x, y), name, marker in zip(vectors, names, markers, strict=True):
        ax.plot([0, x], [0, y], marker=marker, markevery=[1], markersize=8, lw=2)
        ax.annotate(name, (x, y), (8, -12), textcoords="offset points")
    ax.margins(0.25)
    ax.set_aspect("equal")
    return ax


def training_curves(log: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw `log.csv` of a training run, or of several runs one below the other, with a column run.

    The loss over the steps goes to the first of two axes, the awareness of questions to the second.
    """
    runs = log if "run" in log else log.assign(run="")
    losses = runs.melt(["run", "step"], ["loss", "eval_loss"], "rows", "answer loss (nats per token)").dropna()
    losses["rows"] = losses["rows"].map({"loss": "trained on", "eval_loss": "held out"})
    hue = {"hue": "run", "palette": "colorblind"} if "run" in log else {}
    sns.lineplot(losses, x="step", y="answer loss (nats per token)", style="rows", ax=axes[0], **hue)
    axes[0].set(ylim=(0, None))
    aware = runs.dropna(subset="eval_awareness")
    marks = {"style": "run", "markers": MARKERS[: aware["run"].nunique()], "dashes": False}
    sns.lineplot(aware, x="step", y="eval_awareness", ax=axes[1], legend=False, **hue, **marks)
    axes[1].axhline(0.5, color="0.5", lw=1, ls=":")
    axes[1].set(ylim=(0, 1), ylabel="awareness (share; dotted: chance)")
