"""Figures of what lenses are worth: a panel for each question."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from inbedder_utils.clustering.lens import LEAST_COSINE
from inbedder_utils.plots import MARKERS


def sample_size_plot(scores: pd.DataFrame, axes: np.ndarray) -> None:
    """Draw scores over the number of texts asked: means of the rows, bands from the lowest to the highest.

    Args:
        scores: columns question, texts asked, V-measure (percent), asked in full (the same without a lens), held-out
            cosine.
        axes: (2, k) for k questions, V-measures above cosines.
    """
    for column, (question, own) in zip(axes.T, scores.groupby("question", sort=False), strict=True):
        dashed = {"asked in full": own["asked in full"].mean(), "refused below": LEAST_COSINE}
        for ax, score, name in zip(column, ("V-measure (percent)", "held-out cosine"), dashed, strict=True):
            sns.lineplot(own, x="texts asked", y=score, errorbar=("pi", 100), marker="o", ax=ax)
            ax.axhline(dashed[name], color="0.3", ls="--", label=name)
            ax.set(xscale="log", xticks=(sizes := own["texts asked"].unique()), xticklabels=sizes, ylim=(0, None))
            ax.minorticks_off()
            ax.legend(frameon=False, loc="lower right")
        column[0].set_title(question)


def reliability_plot(scores: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw what lenses keep over what their held-out cosines said; the dashed line is where they begin to refuse.

    Args:
        scores: columns question, stored (what the lens was fitted to), held-out cosine, kept (percent).
        axes: one for each question.
    """
    stored = {"hue": "stored", "style": "stored", "markers": MARKERS[: scores["stored"].nunique()]}
    for ax, (question, own) in zip(axes, scores.groupby("question", sort=False), strict=True):
        dots = {"palette": "colorblind", "s": 80, "legend": ax is axes[-1]}
        sns.scatterplot(own, x="held-out cosine", y="kept", ax=ax, **stored, **dots)
        ax.axvline(LEAST_COSINE, color="0.3", ls="--")
        ax.axhline(100, color="0.6", ls=":")
        ax.set(ylim=(0, None), title=question, ylabel="V-measure by the lens\n(percent of asked in full)")
    sns.move_legend(axes[-1], "center left", bbox_to_anchor=(1, 0.5), frameon=False)
