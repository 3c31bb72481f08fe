"""Names on a map, where they cover neither each other nor, as far as possible, the points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from textalloc import allocate


def place_names(names: Sequence[str], centres: np.ndarray, points: np.ndarray, ax: Axes) -> None:
    """Write each name near its centre, joined to it by a line if it had to move.

    Args:
        names: k names.
        centres: (k, 2), in data coordinates.
        points: (n, 2), in data coordinates.
        ax: where to draw; its limits stay, and its place in the figure should no longer change.
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
