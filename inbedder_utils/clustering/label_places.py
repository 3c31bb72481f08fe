"""Names on a map, where they cover neither each other nor, as far as possible, the points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

STEPS, ANGLES = 14, 12
PADDING = 2.0
"""Pixels around a name that stay free."""
FAR = 1.0
"""Heights of a name between it and its centre from which a line joins them."""


def place_names(names: Sequence[str], centres: np.ndarray, points: np.ndarray, ax: Axes) -> None:
    """Write each name near its centre, joined to it by a line if it had to move.

    Greedy: name by name, of all places around the centre that are inside the axes and free of earlier names, the one
    that covers fewest points and is nearest is taken; if none is free, the least bad one.

    Args:
        names: k names.
        centres: (k, 2), in data coordinates.
        points: (n, 2), in data coordinates.
        ax: where to draw; its limits and its place in the figure should no longer change.
    """
    ax.get_figure(root=True).draw_without_rendering()  # lays the figure out, so that texts have their sizes
    dots, frame, taken = ax.transData.transform(points), ax.get_window_extent(), []
    halo = [withStroke(linewidth=3, foreground="white")]
    for name, centre in zip(names, centres, strict=True):
        look = {"ha": "center", "va": "center", "fontsize": 9, "weight": "bold", "path_effects": halo, "zorder": 4}
        text = ax.text(*centre, name, **look, parse_math=False)  # as it is, for its size is measured next
        size, start = text.get_window_extent(), ax.transData.transform(centre)
        box = _best_place(start, size.width + 2 * PADDING, size.height + 2 * PADDING, dots, taken, frame)
        taken.append(box)
        place = ax.transData.inverted().transform((box.min + box.max) / 2)
        text.set_position(place)
        if np.abs(start - (box.min + box.max) / 2).max() > max(box.height, box.width / 2) + FAR * box.height:
            ax.plot(*zip(centre, place, strict=True), color="0.3", lw=0.8, zorder=3)


def _best_place(
    centre: np.ndarray, width: float, height: float, dots: np.ndarray, taken: list[Bbox], frame: Bbox
) -> Bbox:
    """The box of a name, in pixels."""
    best, least = None, np.inf
    for step in range(STEPS):
        for angle in np.linspace(0, 2 * np.pi, ANGLES if step else 1, endpoint=False):
            away = step * height * np.array([1.6 * np.cos(angle), np.sin(angle)])
            x, y = centre + away - (width / 2, height / 2)
            box = Bbox.from_bounds(x, y, width, height)
            overlap = sum(box.overlaps(other) for other in taken)
            outside = not (frame.containsx(box.x0) and frame.containsx(box.x1))
            outside |= not (frame.containsy(box.y0) and frame.containsy(box.y1))
            covered = np.all((dots > box.min) & (dots < box.max), axis=1).sum()
            cost = 1e6 * overlap + 1e5 * outside + covered + 1.5 * step
            if cost < least:
                best, least = box, cost
    assert best is not None
    return best
