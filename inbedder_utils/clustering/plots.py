"""Figures of clusterings: each function draws into an axes; markers, hatches and names as well as colours."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from textalloc import allocate

from inbedder_utils.clustering.breakdown_plots import breakdown_plot
from inbedder_utils.clustering.lens_plots import reliability_plot, sample_size_plot
from inbedder_utils.clustering.looks import HATCHES, as_written, cluster_looks, stacked_bars
from inbedder_utils.clustering.partition import NOISE, chosen_number
from inbedder_utils.clustering.result import Clustering

__all__ = [
    "breakdown_plot",
    "cluster_map",
    "composition_bars",
    "confusion_heatmap",
    "flow",
    "place_names",
    "reliability_plot",
    "sample_size_plot",
    "silhouette_curve_plot",
    "silhouette_plot",
]
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
    looks, centres = cluster_looks(len(result)), {}
    for cluster in [NOISE, *range(len(result))]:
        points = places[result.assignments[result.shown] == cluster]
        if len(points):
            ax.scatter(*points.T, s=28, linewidth=0.5, **looks[cluster])
            centres[cluster] = np.median(points, axis=0)
    centres.pop(NOISE, None)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{map_method.upper().replace('TSNE', 't-SNE')} of the embeddings (no unit)")
    place_names([result.names[cluster] for cluster in centres], np.array([*centres.values()]), places, ax)
    return as_written(ax)


def place_names(names: Sequence[str], centres: np.ndarray, points: np.ndarray, ax: Axes) -> None:
    """Write each name near its centre, joined to it by a line if it had to move.

    They cover neither each other nor, as far as possible, the points. Centres, (k, 2), and points, (n, 2), are in data
    coordinates; the limits of the axes stay, and their place in the figure should no longer change.
    """
    if not names:  # textalloc would print that it found no place
        return
    ax.axis(ax.axis())  # as they are now, or the lines would move what names have made room for
    look = {"path_effects": [withStroke(linewidth=3, foreground="white")], "zorder": 4, "parse_math": False}
    # Distances are shares of the axes. With so many candidates there is room for 20 names around one centre.
    places = {"min_distance": 0, "max_distance": 0.5, "margin": 0.002, "nbr_candidates": 2000}
    lines = {"linecolor": "0.3", "linewidth": 0.8, "plot_kwargs": {"zorder": 3}}
    x, y = points.T
    allocate(ax, *centres.T, names, x_scatter=x, y_scatter=y, textsize=9, fontweight="bold", **places, **lines, **look)


def silhouette_curve_plot(result: Clustering, ax: Axes) -> Axes:
    """Draw the silhouette over the number of clusters, and mark the number that was chosen.

    Raises:
        ValueError: if the number was not chosen by silhouette.
    """
    if result.curve is None:
        raise ValueError(
            "these clusters have no silhouette curve: call ask without n_clusters, or with 'about 8', and no estimator"
        )
    best = chosen_number(result.curve)
    ax.plot(result.curve.index, result.curve, marker="o", color=sns.color_palette("colorblind")[0])
    ax.plot(best, result.curve[best], marker="o", ms=13, mfc="none", mec="black", ls="")
    ax.annotate(f"chosen: {best}", (best, result.curve[best]), (11, 0), textcoords="offset points", va="center")
    ax.margins(y=0.18)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="number of clusters", ylabel="mean silhouette (cosine, -1 to 1)")
    return as_written(ax)


def silhouette_plot(result: Clustering, ax: Axes) -> Axes:
    """Draw the silhouette of every text, sorted within its cluster; the dotted line is their mean.

    Raises:
        ValueError: if there is one cluster only, or none, or every text is a cluster.
    """
    silhouettes = result.silhouettes
    if silhouettes.empty:
        raise ValueError("a silhouette needs two clusters or more, and fewer than texts: ask for another number")
    groups, looks = result.assignments[silhouettes.index], cluster_looks(len(result))
    ticks, start, space = [], 0.0, max(1.0, 0.02 * len(silhouettes))
    for cluster in range(len(result)):
        own = np.sort(silhouettes[groups == cluster])[::-1]
        ax.barh(start + np.arange(len(own)), own, height=1.0, color=looks[cluster]["color"], linewidth=0)
        ticks.append(start + (len(own) - 1) / 2)
        start += len(own) + space
    ax.axvline(silhouettes.mean(), color="black", lw=1, ls=":")
    ax.set_yticks(ticks, [f"{name} ({size:,})" for name, size in zip(result.names, result.sizes, strict=True)])
    ax.set(ylim=(start - space, -1), xlabel="silhouette of each text (cosine, -1 to 1; dotted: mean)")
    ax.axvline(0, color="0.4", lw=0.8)
    return as_written(ax)


def composition_bars(result: Clustering, ax: Axes) -> Axes:
    """Draw which labels each cluster is made of, as stacked bars of 100 percent.

    Raises:
        ValueError: if the clustering has no labels.
    """
    counts = _label_table(result)
    stacked_bars(counts, ax, "label")
    ax.set_xlabel("share of the cluster's texts (percent)")
    return as_written(ax)


def confusion_heatmap(result: Clustering, ax: Axes) -> Axes:
    """Draw the number of texts per label and cluster, clusters in an order that puts large numbers on the diagonal.

    Raises:
        ValueError: if the clustering has no labels.
    """
    counts = _label_table(result).T
    order = np.argsort(counts.to_numpy().argmax(axis=0), kind="stable")
    large = counts.size > 200
    bare = {"xticklabels": False, "yticklabels": False}  # seaborn would draw them at once, as formulas
    lines = {"linewidths": 0 if large else 0.5, "rasterized": large}
    bar = {"cmap": "cividis", "cbar_kws": {"label": "texts"}}
    sns.heatmap(counts.iloc[:, order], annot=not large, fmt="d", ax=ax, **bar, **lines, **bare)
    ax.set(xlabel="cluster", ylabel="label")
    ax.set_xticks(0.5 + np.arange(len(order)), counts.columns[order], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(0.5 + np.arange(len(counts)), counts.index)
    return as_written(ax)


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
    columns: list[pd.DataFrame] = []
    for x, result in enumerate(results):
        order = [c for c in [*range(len(result)), NOISE] if (result.assignments == c).any()]
        if x:  # sorted by where their texts come from, bands cross less
            came = columns[-1]["top"][results[x - 1].assignments].to_numpy()
            order.sort(key={c: came[result.assignments == c].mean() for c in order}.__getitem__)
        sizes = pd.Series(result.assignments).value_counts()[order]
        heights = sizes * ((1 - GAP_IN_FLOW * (len(order) - 1)) / sizes.sum())
        tops = (heights + GAP_IN_FLOW).cumsum().shift(fill_value=0.0)
        columns.append(pd.DataFrame({"size": sizes, "top": tops, "height": heights}))
    for x in range(len(results) - 1):
        _draw_bands(results[x], results[x + 1], columns[x], columns[x + 1], x, ax)
    for x, result in enumerate(results):
        _draw_column(result, columns[x], x, len(results) - 1, ax)
    ax.set_xticks(range(len(results)), [fill(result.instruction, 28) for result in results])
    ax.set(yticks=[], xlim=(-0.02, len(results) - 0.98), ylim=(1 + GAP_IN_FLOW, -GAP_IN_FLOW))
    ax.tick_params(axis="x", length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    return as_written(ax)


def _draw_bands(one: Clustering, other: Clustering, left: pd.DataFrame, right: pd.DataFrame, x: int, ax: Axes) -> None:
    """Draw the bands between two columns of a flow, `left` at x; columns run from 0 (top) to 1."""
    counts = pd.crosstab(one.assignments, other.assignments).loc[left.index, right.index].to_numpy()
    leaving = counts * (left["height"] / left["size"]).to_numpy()[:, None]  # heights of the bands at their left ends
    entering = counts * (right["height"] / right["size"]).to_numpy()
    tops_left = left["top"].to_numpy()[:, None] + leaving.cumsum(axis=1) - leaving
    tops_right = right["top"].to_numpy() + entering.cumsum(axis=0) - entering
    looks, a, middle, b = cluster_looks(len(one)), x + 0.02, x + 0.5, x + 0.98
    for i, j in np.argwhere(counts):
        top, end = tops_left[i, j], tops_right[i, j]
        bottom, bottom_end = top + leaving[i, j], end + entering[i, j]
        corners = [(a, top), (middle, top), (middle, end), (b, end)]
        back = [(b, bottom_end), (middle, bottom_end), (middle, bottom), (a, bottom), (a, top)]
        codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
        c = left.index[i]
        look = {"facecolor": looks[c]["color"], "hatch": HATCHES[c % len(HATCHES)], "edgecolor": "white"}
        ax.add_patch(PathPatch(Path([*corners, *back], codes), alpha=0.6, linewidth=0.4, **look))


def _draw_column(result: Clustering, column: pd.DataFrame, x: int, last: int, ax: Axes) -> None:
    """Draw the clusters of one question, with names and sizes: outside at both ends, on the bands in between."""
    names = result.names_and_outside
    place, side = (-0.03, "right") if x == 0 else (0.03, "left") if x == last else (0, "center")
    box = None if x in (0, last) else {"facecolor": "white", "edgecolor": "0.6", "pad": 1.5, "linewidth": 0.5}
    for cluster, size, top, height in column.itertuples():
        ax.add_patch(Rectangle((x - 0.02, top), 0.04, height, facecolor="0.25", edgecolor="none"))
        label = f"{names[cluster]} ({size:,})"
        ax.text(x + place, top + height / 2, label, ha=side, va="center", fontsize=8, bbox=box)


def _label_table(result: Clustering) -> pd.DataFrame:
    """Numbers of texts: a row per cluster, named, a column per label."""
    if result.labels is None:
        raise ValueError("these clusters have no labels to compare with: pass labels to ask")
    counts = pd.crosstab(result.assignments, np.asarray(result.labels, dtype=object))
    order = [c for c in [*range(len(result)), NOISE] if c in counts.index]
    return counts.loc[order].set_axis([result.names_and_outside[c] for c in order], axis=0)
