"""Figures: each function draws a table into an axes; the same look everywhere, legible in greyscale.

`ax` is where to draw, and is returned; functions without it make a figure of several panels.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.metrics.pairwise import cosine_similarity

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


def similarity_heatmap(similarity: np.ndarray, groups: Sequence[str], ax: Axes) -> Axes:
    """Draw cosine similarities (n, n) sorted by the n labels in `groups`, with lines between groups.

    The colours reach from the 2nd to the 98th percentile, for which values are high differs between models.
    """
    groups = np.asarray(groups)
    order = np.argsort(groups, kind="stable")
    names, sizes = np.unique(groups, return_counts=True)
    ends = np.cumsum(sizes)
    low, high = np.quantile(similarity, [0.02, 0.98])
    look = {"vmin": low, "vmax": high, "cmap": "cividis", "square": True, "rasterized": True}
    sns.heatmap(
        similarity[np.ix_(order, order)], cbar_kws={"label": "cosine similarity", "shrink": 0.75}, ax=ax, **look
    )
    ax.set_xticks(ends - sizes / 2, names, rotation=45, ha="right")
    ax.set_yticks(ends - sizes / 2, names, rotation=0)
    for end in ends[:-1]:
        ax.axhline(end, color="white", lw=1)
        ax.axvline(end, color="white", lw=1)
    return ax


def similarity_heatmaps(embeddings: Mapping[str, np.ndarray], labels: pd.DataFrame) -> Figure:
    """Draw similarities: each embedding (n, d) has a column of panels, each label (n,) a row, which is sorted by it."""
    size = len(labels.columns), len(embeddings)
    fig, axes = plt.subplots(*size, figsize=(3.5 * size[1], 2.5 * size[0]), squeeze=False)
    for column, (name, vectors) in enumerate(embeddings.items()):
        similarity = cosine_similarity(vectors)  # (n, n)
        for ax, label in zip(axes[:, column], labels, strict=True):
            similarity_heatmap(similarity, labels[label], ax)
            ax.set_ylabel("" if column else f"sorted by {label}")
        axes[0, column].set_title(name)
    return fig


def text_maps(embeddings: Mapping[str, np.ndarray], labels: pd.DataFrame) -> Figure:
    """Draw a t-SNE map (cosine distance, seed 0) of each embedding (n, d): the first of the first label, and so on."""
    fig, axes = plt.subplots(1, len(embeddings), figsize=(5 * len(embeddings), 4), squeeze=False)
    for ax, (name, vectors), label in zip(axes[0], embeddings.items(), labels, strict=True):
        points = TSNE(metric="cosine", perplexity=20, init="random", random_state=0).fit_transform(vectors)  # (n, 2)
        text_map(points, labels[label], ax, legend_title=label)
        ax.set_title(name)
    return fig


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


def score_by_layer(scores: pd.DataFrame, *, score: str) -> Figure:
    """Draw the column named `score` over the column layer: a panel for each question, a line for each pooling."""
    order = list(dict.fromkeys(scores["pooling"]))
    marks = {"hue": "pooling", "style": "pooling", "hue_order": order, "style_order": order, "markers": True}
    panels = scores.groupby("question", sort=False)
    fig, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.2), sharey=True, squeeze=False)
    for ax, (question, panel) in zip(axes[0], panels, strict=True):
        look = {"dashes": False, "palette": "colorblind", "legend": "auto" if ax is axes[0, -1] else False}
        sns.lineplot(panel, x="layer", y=score, **marks, **look, ax=ax)
        ax.set(xticks=sorted(panel["layer"].unique()), xlabel="layer (0 = token embeddings)", title=question)
    sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return fig


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


def answer_heatmaps(answers: Mapping[str, Sequence[Mapping[str, float]]], texts: Sequence[str]) -> Figure:
    """Draw how likely words are as the first token of an answer, in percent, a panel for each question.

    Args:
        answers: for each question what `Encoder.word_probabilities` gives for the n texts. Columns are the
            likeliest word of each text, and the next if it has 1% or more; a cell is blank where a text lacks the word.
        texts: the n texts, which name the rows.
    """
    names = [fill(text, 45) for text in texts]
    columns = [
        list(dict.fromkeys(word for row in rows for i, word in enumerate([*row][:2]) if i == 0 or row[word] >= 0.01))
        for rows in answers.values()
    ]
    widths = list(map(len, columns))
    size = {"figsize": (4.2 + 0.65 * sum(widths), 1.2 + 0.55 * len(texts)), "width_ratios": widths}
    fig, axes = plt.subplots(1, len(answers), sharey=True, squeeze=False, **size)
    for ax, (question, rows), words in zip(axes[0], answers.items(), columns, strict=True):
        table = pd.DataFrame(rows, index=names)[words]  # (n, words)
        shown = (100 * table).map(lambda percent: f"{percent:.0f}" if percent >= 1 else "<1")
        look = {"cmap": "Blues", "norm": LogNorm(1e-3, 1), "linewidths": 0.5, "linecolor": "0.9"}
        bar = {"cbar": ax is axes[0, -1], "cbar_kws": {"label": "probability (log scale)"}}
        sns.heatmap(table, annot=shown, fmt="", ax=ax, **look, **bar)
        ax.set_title(fill(question, max(14, 7 * len(words))))
        ax.tick_params(axis="x", rotation=45)
    return fig


def attention_map(sees: np.ndarray, segments: Sequence[int], names: Sequence[str], ax: Axes) -> Axes:
    """Draw in grey which of T tokens (rows) see which (columns), with lines between the segments that have `names`.

    `sees` (T, T) is boolean; `segments` (T,) says of each token which segment it is in: 0, 1, ... in this order.
    """
    starts = np.append(np.searchsorted(segments, range(len(names))), len(segments))
    sns.heatmap(sees, cmap=["white", "0.5"], vmin=0, vmax=1, cbar=False, square=True, rasterized=True, ax=ax)
    for start in starts:
        ax.axhline(start, color="black", lw=0.8, clip_on=False)
        ax.axvline(start, color="black", lw=0.8, clip_on=False)
    middles = (starts[:-1] + starts[1:]) / 2
    ax.set_xticks(middles, names, rotation=30, ha="right")
    ax.set_yticks(middles, names, rotation=0)
    ax.set(xlabel="... these (grey: seen)", ylabel="the tokens of ... see")
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

    The loss over the steps goes to the first of two axes, the awareness of questions to the second. Of several
    logs with the same `run` (other seeds) the mean is drawn, and a band from the lowest to the highest.
    """
    runs = log if "run" in log else log.assign(run="")
    losses = runs.melt(["run", "step"], ["loss", "eval_loss"], "rows", "answer loss (nats per token)").dropna()
    losses["rows"] = losses["rows"].map({"loss": "trained on", "eval_loss": "held out"})
    hue = {"errorbar": ("pi", 100)} | ({"hue": "run", "palette": "colorblind"} if "run" in log else {})
    sns.lineplot(losses, x="step", y="answer loss (nats per token)", style="rows", ax=axes[0], **hue)
    axes[0].set(ylim=(0, None))
    aware = runs.dropna(subset="eval_awareness")
    marks = {"style": "run", "markers": MARKERS[: aware["run"].nunique()], "dashes": False}
    sns.lineplot(aware, x="step", y="eval_awareness", ax=axes[1], legend=False, **hue, **marks)
    axes[1].axhline(0.5, color="0.5", lw=1, ls=":")
    axes[1].set(ylim=(0, 1), ylabel="awareness (share; dotted: chance)")
