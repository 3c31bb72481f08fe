"""Figures of clusterings: each function draws into an axes; markers, hatches and names as well as colours."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import silhouette_samples
from sklearn.preprocessing import normalize

from inbedder_utils.clustering.label_places import place_names
from inbedder_utils.clustering.result import NO_CLUSTER, NOISE, TEXTS_JUDGED, Clustering, sample
from inbedder_utils.plots import MARKERS

HATCHES = ["", "///", "...", "\\\\\\", "xxx", "---", "ooo", "+++"]
GAP_IN_FLOW = 0.04
"""Between two clusters of a flow picture, as a share of its height: room for a line of text."""


def cluster_map(result: Clustering, ax: Axes, *, map_method: str = "tsne") -> Axes:
    """Scatter the texts, one colour and marker per cluster, with the clusters' names on them.

    Args:
        result: from `ask`; at most 2,000 of its texts are drawn.
        ax: where to draw.
        map_method: "tsne", "pca" or "umap", as for `Clustering.project`.

    Raises:
        ValueError, ImportError: as `Clustering.project`.
    """
    places = result.coordinates if map_method == "tsne" else result.project(map_method)
    groups = result.assignments[result.shown]
    for cluster, look in zip([NOISE, *range(len(result))], [_noise_look(), *_looks(len(result))], strict=True):
        if (groups == cluster).any():
            ax.scatter(*places[groups == cluster].T, s=28, linewidth=0.5, **look)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{map_method.upper().replace('TSNE', 't-SNE')} of the embeddings (no unit)")
    drawn = [cluster for cluster in range(len(result)) if (groups == cluster).any()]
    centres = np.array([np.median(places[groups == cluster], axis=0) for cluster in drawn]).reshape(-1, 2)
    place_names([result.names[cluster] for cluster in drawn], centres, places, ax)
    return _as_written(ax)


def silhouette_curve_plot(result: Clustering, ax: Axes) -> Axes:
    """Draw the silhouette over the number of clusters, and mark the number that was chosen.

    Raises:
        ValueError: if the number was not chosen by silhouette.
    """
    if result.curve is None:
        raise ValueError("these clusters have no silhouette curve: call ask without n_clusters and estimator")
    best = result.curve.idxmax()
    ax.plot(result.curve.index, result.curve, marker="o", color=sns.color_palette("colorblind")[0])
    ax.plot(best, result.curve[best], marker="o", ms=13, mfc="none", mec="black", ls="")
    ax.annotate(f"chosen: {best}", (best, result.curve[best]), (11, 0), textcoords="offset points", va="center")
    ax.margins(y=0.18)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="number of clusters", ylabel="mean silhouette (cosine, -1 to 1)")
    return _as_written(ax)


def silhouette_plot(result: Clustering, ax: Axes) -> Axes:
    """Draw the silhouette of every text, sorted within its cluster; the dotted line is their mean.

    Raises:
        ValueError: if there is one cluster only, or none, or every text is a cluster.
    """
    inside = np.flatnonzero(result.assignments != NOISE)
    inside = inside[sample(len(inside), TEXTS_JUDGED, result.seed)]
    groups = result.assignments[inside]
    if not 1 < len(set(groups.tolist())) < len(inside):
        raise ValueError("a silhouette needs two clusters or more, and fewer than texts: ask for another number")
    values = silhouette_samples(normalize(result.embeddings[inside]), groups, metric="cosine")
    ticks, start, space = [], 0.0, max(1.0, 0.02 * len(inside))
    for cluster, look in enumerate(_looks(len(result))):
        own = np.sort(values[groups == cluster])[::-1]
        rows = start + np.arange(len(own))
        ax.barh(rows, own, height=1.0, color=look["color"], linewidth=0)
        ticks.append(start + (len(own) - 1) / 2)
        start += len(own) + space
    ax.axvline(values.mean(), color="black", lw=1, ls=":")
    ax.set_yticks(ticks, [f"{name} ({size:,})" for name, size in zip(result.names, result.sizes, strict=True)])
    ax.set(ylim=(start - space, -1), xlabel="silhouette of each text (cosine, -1 to 1; dotted: mean)")
    ax.axvline(0, color="0.4", lw=0.8)
    return _as_written(ax, ax.yaxis)


def composition_bars(result: Clustering, ax: Axes) -> Axes:
    """Draw which labels each cluster is made of, as stacked bars of 100 percent.

    Raises:
        ValueError: if the clustering has no labels.
    """
    counts = _label_table(result)
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    left = np.zeros(len(shares))
    colours = sns.color_palette("colorblind")
    for i, label in enumerate(shares.columns):
        look = {"color": colours[i % len(colours)], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}
        ax.barh(range(len(shares)), shares[label], left=left, height=0.75, linewidth=0.5, label=label, **look)
        left += shares[label].to_numpy()
    ax.set_yticks(range(len(shares)), [f"{name} ({n:,})" for name, n in counts.sum(axis=1).items()])
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the cluster's texts (percent)")
    ax.legend(title="label", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, handleheight=1.4)
    return _as_written(ax, ax.yaxis)


def confusion_heatmap(result: Clustering, ax: Axes) -> Axes:
    """Draw the number of texts per label and cluster, clusters in an order that puts large numbers on the diagonal.

    Raises:
        ValueError: if the clustering has no labels.
    """
    counts = _label_table(result).T
    order = np.argsort(counts.to_numpy().argmax(axis=0), kind="stable")
    large = counts.size > 200
    sns.heatmap(
        counts.iloc[:, order],
        annot=not large,
        fmt="d",
        cmap="cividis",
        cbar_kws={"label": "texts"},
        linewidths=0 if large else 0.5,
        rasterized=large,
        xticklabels=False,  # seaborn would draw them at once, as formulas
        yticklabels=False,
        ax=ax,
    )
    ax.set(xlabel="cluster", ylabel="label")
    ax.set_xticks(0.5 + np.arange(len(order)), counts.columns[order], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(0.5 + np.arange(len(counts)), counts.index)
    return _as_written(ax, ax.xaxis, ax.yaxis)


def flow(results: Sequence[Clustering], ax: Axes) -> Axes:
    """Draw how the same texts move from the clusters of one question to those of the next (an alluvial diagram).

    Args:
        results: two or more clusterings of the same texts, from left to right; bands have the colour and hatch of the
            cluster that they leave, and are as high as they have texts.
        ax: where to draw.

    Raises:
        ValueError: if there are fewer than two, or they are not of the same texts.
    """
    if len(results) < 2 or any(result.texts != results[0].texts for result in results):
        raise ValueError("a flow needs two clusterings or more, all of the same texts in the same order")
    n, spans = len(results[0].texts), []
    for i, result in enumerate(results):
        order = [c for c in [*range(len(result)), NOISE] if (result.assignments == c).any()]
        if i:  # sorted by where their texts come from, bands cross less
            came = np.array([spans[-1][c][0] for c in results[i - 1].assignments])
            order.sort(key=lambda c, came=came, at=result.assignments: came[at == c].mean())
        spans.append(_spans(result, order, n))
    for i, (one, other) in enumerate(zip(results, results[1:], strict=False)):
        _bands(one.assignments, other.assignments, spans[i], spans[i + 1], i, len(one), ax)
    for i, result in enumerate(results):
        _column(result, spans[i], i, len(results) - 1, ax)
    ax.set_xticks(range(len(results)), [fill(result.instruction, 28) for result in results])
    ax.set(yticks=[], xlim=(-0.02, len(results) - 0.98), ylim=(1 + GAP_IN_FLOW, -GAP_IN_FLOW))
    ax.tick_params(axis="x", length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    return _as_written(ax, ax.xaxis)


def _as_written(ax: Axes, *named: Axis) -> Axes:
    """Have no two dollar signs read as a formula: not in names, and not in a question that becomes the title."""
    legend = ax.get_legend()
    labels = [label for axis in named for label in axis.get_ticklabels()]
    for text in [ax.title, *ax.texts, *labels, *(legend.get_texts() if legend else [])]:
        text.set_parse_math(False)
    return ax


def _spans(result: Clustering, order: list[int], n: int) -> dict[int, tuple[float, float]]:
    """Where each cluster begins and ends in its column, from 0 (top) to 1."""
    scale, top, spans = (1 - GAP_IN_FLOW * (len(order) - 1)) / n, 0.0, {}
    for cluster in order:
        height = scale * (result.assignments == cluster).sum()
        spans[cluster] = (top, top + height)
        top += height + GAP_IN_FLOW
    return spans


def _bands(
    one: np.ndarray, other: np.ndarray, left: dict[int, Any], right: dict[int, Any], x: int, k: int, ax: Axes
) -> None:
    """Draw the bands between two columns."""
    counts, looks = pd.crosstab(one, other), dict(enumerate(_looks(k))) | {NOISE: _noise_look()}
    leaves = {c: top for c, (top, _) in left.items()}
    enters = {c: top for c, (top, _) in right.items()}
    for c in left:
        for d in right:
            count = counts.at[c, d]
            out = count * (left[c][1] - left[c][0]) / (one == c).sum()
            into = count * (right[d][1] - right[d][0]) / (other == d).sum()
            if count:
                band = _band(x, leaves[c], leaves[c] + out, enters[d], enters[d] + into)
                style = {"facecolor": looks[c]["color"], "hatch": HATCHES[c % len(HATCHES)], "edgecolor": "white"}
                ax.add_patch(PathPatch(band, alpha=0.6, linewidth=0.4, **style))
            leaves[c], enters[d] = leaves[c] + out, enters[d] + into


def _band(x: float, top: float, bottom: float, top_right: float, bottom_right: float) -> Path:
    a, b, middle = x + 0.02, x + 0.98, x + 0.5
    corners = [(a, top), (middle, top), (middle, top_right), (b, top_right)]
    back = [(b, bottom_right), (middle, bottom_right), (middle, bottom), (a, bottom), (a, top)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    return Path([*corners, *back], codes)


def _column(result: Clustering, spans: dict[int, tuple[float, float]], x: int, last: int, ax: Axes) -> None:
    """Draw the clusters of one question, with names and sizes: outside at both ends, on the bands in between."""
    names = [*result.names, NO_CLUSTER]
    place, side = (-0.03, "right") if x == 0 else (0.03, "left") if x == last else (0, "center")
    box = None if x in (0, last) else {"facecolor": "white", "edgecolor": "0.6", "pad": 1.5, "linewidth": 0.5}
    for cluster, (top, bottom) in spans.items():
        ax.add_patch(Rectangle((x - 0.02, top), 0.04, bottom - top, facecolor="0.25", edgecolor="none"))
        label = f"{names[cluster]} ({(result.assignments == cluster).sum():,})"
        ax.text(x + place, (top + bottom) / 2, label, ha=side, va="center", fontsize=8, bbox=box)


def _label_table(result: Clustering) -> pd.DataFrame:
    """Numbers of texts: a row per cluster, named, a column per label."""
    if result.labels is None:
        raise ValueError("these clusters have no labels to compare with: pass labels to ask")
    counts = pd.crosstab(result.assignments, np.asarray(result.labels, dtype=object))
    order = [c for c in [*range(len(result)), NOISE] if c in counts.index]
    return counts.loc[order].set_axis([[*result.names, NO_CLUSTER][c] for c in order], axis=0)


def _looks(k: int) -> list[dict[str, Any]]:
    """Colour and marker of each cluster."""
    colours = sns.color_palette("colorblind")
    return [
        {"color": colours[c % len(colours)], "marker": MARKERS[c % len(MARKERS)], "edgecolor": "white"}
        for c in range(k)
    ]


def _noise_look() -> dict[str, Any]:
    return {"color": "0.6", "marker": "."}
