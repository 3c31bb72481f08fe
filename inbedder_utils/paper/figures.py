"""The paper's result figures: each function draws a table of `inbedder_utils.paper` into axes.

`ax` is where to draw, and is returned. Scores are percent. Whatever a figure names has the name it is to show.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score

from inbedder_utils.checks import one_of
from inbedder_utils.plots import MARKERS

POOLINGS_SHOWN = ("fst_gen", "avg_gen", "last_gen", "avg_ppt", "avg_all", "re_encode", "own", "last_ppt")
GREYS = {"correct": "0.35", "implicit": "0.7", "incorrect": "white"}
"""Kinds of instructions, and the grey of their boxes."""


def pooling_dots(table: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw each column of a `score_table` into axes of its own: a row per model, a dot per pooling (paper, table 1)."""
    rows = table.reset_index()
    models = list(dict.fromkeys(rows["model"]))
    for ax, column in zip(axes, table.columns, strict=True):
        known = rows.dropna(subset=column)
        for pooling, look in _pooling_looks(known["pooling"]).items():
            of_one = known[known["pooling"] == pooling]
            ax.plot(of_one[column], of_one["model"].map(models.index), ls="", ms=7, mec="white", mew=0.5, **look)
        ax.set_yticks(range(len(models)), models)
        ax.set(ylim=(len(models) - 0.5, -0.5), title=column, xlabel="score (percent)")
        ax.grid(axis="y", color="0.9")
    pooling_legend(rows["pooling"], axes[-1])


def pooling_lines(scores: pd.DataFrame, ax: Axes, *, x: str, every: int = 1) -> Axes:
    """Draw the column score over the column `x`, one line per pooling (paper, figures by layer and by answer length).

    Where `x` is missing (`re_encode` belongs to no layer), the score is a level across the whole axes; `every` is the
    number of points to a marker.
    """
    marks = {"ms": 6, "mec": "white", "mew": 0.5}
    for pooling, look in _pooling_looks(scores["pooling"]).items():
        line = scores[scores["pooling"] == pooling].sort_values(x)
        if line[x].isna().all():
            middle = line["score"].item()
            level = {"ls": "--", "markevery": [1], "transform": ax.get_yaxis_transform()}
            ax.plot([0, 0.5, 1], [middle] * 3, **level, **marks, **look)
        else:
            ax.plot(line[x].astype(int), line["score"], markevery=every, **marks, **look)
    ax.set(xlabel=x, ylabel="score (percent)")
    return ax


def pooling_legend(poolings: Sequence[str], ax: Axes) -> None:
    """Say to the right of an axes which colour and marker stand for which pooling."""
    handles = [Line2D([], [], ls="", **look) for look in _pooling_looks(poolings).values()]
    ax.legend(handles=handles, title="pooling", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def changes(table: pd.DataFrame, ax: Axes) -> Axes:
    """Draw how scores, one per row, change from the first column (an open circle) to the second (a filled one)."""
    rows, (before, after) = range(len(table)), table.columns
    ax.hlines(rows, table[before], table[after], color="0.6", lw=1.5, zorder=1)
    ax.scatter(table[before], rows, marker="o", s=40, facecolor="white", edgecolor="0.3", label=before)
    ax.scatter(table[after], rows, marker="o", s=40, color=sns.color_palette("colorblind")[0], label=after)
    ax.set_yticks(rows, table.index)
    ax.invert_yaxis()
    ax.set(xlabel="awareness, average (percent)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False, ncols=1)
    return ax


def instruction_boxes(scores: pd.DataFrame, ax: Axes, *, legend: bool = False) -> Axes:
    """Draw scores of single instructions, of one model and pooling, as a box per task and kind (paper, robustness)."""
    order = {"order": sorted(scores["task"].unique()), "hue_order": list(GREYS), "palette": GREYS}
    look = {"saturation": 1, "linecolor": "black", "fliersize": 3, "width": 0.75}
    sns.boxplot(scores, x="task", y="score", hue="kind", **order, **look, ax=ax)
    ax.set(xlabel="", ylabel="V-measure (percent)")
    ax.tick_params(axis="x", rotation=35)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.get_legend().remove()
    if legend:
        ax.legend(title="instructions", frameon=False)
    return ax


def gap_dots(gaps: pd.DataFrame, ax: Axes, *, gap: str, legend: bool = False) -> Axes:
    """Draw one column of `robustness_gaps` (with its index as columns) per task and model."""
    tasks, models = sorted(gaps["task"].unique()), list(dict.fromkeys(gaps["model"]))
    for i, model in enumerate(models):
        rows = gaps[gaps["model"] == model]
        places = rows["task"].map(tasks.index) + 0.16 * (i - (len(models) - 1) / 2)
        look = {"marker": MARKERS[i], "color": sns.color_palette("colorblind")[i], "label": model}
        ax.plot(rows[gap], places, ls="", ms=7, mec="white", mew=0.5, **look)
    ax.axvline(0, color="0.4", lw=1, ls=":")
    ax.set_yticks(range(len(tasks)), tasks)
    ax.set(ylim=(len(tasks) - 0.5, -0.5), xlabel="V-measure, difference (points)")
    ax.grid(axis="y", color="0.9")
    if legend:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def size_lines(scores: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw scores (columns task, training, parameters, score) over the size of models, a task in each of the axes."""
    trainings = list(dict.fromkeys(scores["training"]))
    look = {"hue": "training", "style": "training", "hue_order": trainings, "style_order": trainings}
    look |= {"markers": MARKERS[: len(trainings)], "dashes": False, "palette": "colorblind", "ms": 7}
    for ax, task in zip(axes, dict.fromkeys(scores["task"]), strict=True):
        of_task = scores[scores["task"] == task]
        sns.lineplot(of_task, x="parameters", y="score", **look, legend=ax is axes[-1], ax=ax)
        ax.set(title=task, xscale="log", xlabel="parameters (millions)", ylabel="score (percent)")
    sns.move_legend(axes[-1], "center left", bbox_to_anchor=(1, 0.5), frameon=False)


def agreement(reviews: pd.DataFrame, ax: Axes) -> pd.DataFrame:
    """Draw how alike the clusterings of `published_reviews` are, by the adjusted Rand index, which is returned."""
    of_text = reviews.explode("texts").pivot(index="texts", columns="question", values="cluster")
    names = list(dict.fromkeys(reviews["question"]))
    table = of_text[names].corr(adjusted_rand_score).rename_axis(index=None, columns=None)
    sns.heatmap(table, vmin=0, vmax=1, annot=True, fmt=".2f", cmap="cividis", square=True, ax=ax)
    ax.collections[0].colorbar.set_label("adjusted Rand index")
    return table


def label_shares(clusters: pd.DataFrame, ax: Axes, *, named: bool, bar: bool = True) -> Axes:
    """Draw which labels each of a corpus's `published_clusters` is made of (paper, cluster explanations).

    The largest shares are near the diagonal. For corpora with few labels: `named` writes out labels and shares.
    """
    counts = pd.DataFrame(clusters["labels"].tolist(), index=clusters["cluster"]).fillna(0).T
    shares = 100 * counts / counts.sum()
    shares = shares[shares.idxmax().map(sorted(shares.index).index).sort_values(kind="stable").index].sort_index()
    look: dict[str, Any] = {"annot": named, "fmt": ".0f", "xticklabels": named, "rasterized": not named}
    label = {"label": "share of the cluster's texts (percent)"} if bar else None
    sns.heatmap(shares, vmin=0, vmax=100, cmap="cividis", cbar=bar, cbar_kws=label, yticklabels=False, ax=ax, **look)
    if named:
        ax.set_yticks(np.arange(len(shares)) + 0.5, [fill(name, 34) for name in shares.index], rotation=0)
        ax.set(xlabel="cluster", ylabel="")
    else:
        ax.set(xlabel=f"{shares.shape[1]} clusters", ylabel=f"{len(shares)} labels")
    return ax


def entropy_dots(clusters: pd.DataFrame, ax: Axes) -> Axes:
    """Draw the label entropy of `published_clusters`, a row per corpus; a bar marks that of the corpus as a whole."""
    corpora = list(dict.fromkeys(clusters["corpus"]))
    look = {"jitter": False, "marker": "o", "s": 6, "alpha": 0.45, "color": "0.2"}
    sns.stripplot(clusters, y="corpus", x="entropy", order=corpora, **look, ax=ax)
    for i, corpus in enumerate(corpora):
        counts = pd.DataFrame(clusters[clusters["corpus"] == corpus]["labels"].tolist()).sum()
        ax.plot(entropy(counts, base=2), i, marker="|", ms=22, mew=2.5, color=sns.color_palette("colorblind")[1])
    ax.set(xlabel="entropy of the labels (bits)", ylabel="", xlim=(-0.1, None), ylim=(len(corpora) - 0.4, -0.6))
    return ax


def _pooling_looks(poolings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same colour and marker for a pooling in every figure."""
    present = {one_of("pooling", name, POOLINGS_SHOWN) for name in poolings}
    colours = [*sns.color_palette("colorblind", 6), "black", "0.5"]
    looks = zip(POOLINGS_SHOWN, colours, MARKERS, strict=True)
    return {name: {"label": name, "color": colour, "marker": m} for name, colour, m in looks if name in present}
