"""The picture of clusters by the values of a column."""

from matplotlib.axes import Axes

from inbedder_utils.clustering.breakdown import Breakdown
from inbedder_utils.clustering.looks import as_written, cluster_looks, stacked_bars
from inbedder_utils.plots import MARKERS


def breakdown_plot(parts: Breakdown, ax: Axes) -> Axes:
    """Draw the share of each cluster: over time if the column has dates, else as a stacked bar for each value.

    Numbers of texts are in brackets. A line has a gap at a period without texts.

    Args:
        parts: from `break_down`.
        ax: where to draw; the legend is beside it.
    """
    if not parts.over_time:
        stacked_bars(parts.counts.T, ax, "cluster", last_is_outside=parts.has_outside)
        ax.set(xlabel="share of the texts (percent)", ylabel=parts.name)
        return as_written(ax)
    looks = cluster_looks(len(parts.counts) - parts.has_outside)
    lines = []
    for i, (look, (_, shares)) in enumerate(zip(looks, parts.shares.iterrows(), strict=False)):
        dash = "-" if i < len(MARKERS) else "--"  # markers come twice
        lines += ax.plot(range(len(shares)), 100 * shares, color=look["color"], marker=look["marker"], ls=dash)
    periods = [f"{period} ({n:,})" for period, n in parts.counts.sum().items()]
    slant = {"rotation": 45 if len(periods) <= 12 else 90, "rotation_mode": "anchor"}
    ax.set_xticks(range(len(periods)), periods, ha="right", va="center", **slant)
    ax.set(xlabel=parts.name, ylabel="share of the period's texts (percent)")
    ax.set_ylim(bottom=0)
    ax.legend(
        lines,
        list(parts.counts.index),
        title="cluster",
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        handlelength=3,
    )
    return as_written(ax)
