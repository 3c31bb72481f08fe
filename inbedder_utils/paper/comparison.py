"""A table of what was measured, with the published number beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inbedder_utils.paper import published as report

if TYPE_CHECKING:
    import pandas as pd

BEST = "BrandonZYW/llama-2-7b-InBedder"
ROBUSTNESS = "_robustness"
_KEYS = ["model", "pooling", "layer", "task", "part", "measure"]
_COLUMNS = ["task", "model", "pooling", "layer", "measure", "score", "sd", "published", "verdict", "best published"]


def summary(folder: str | Path, models: Sequence[str], tasks: Sequence[str]) -> "pd.DataFrame":
    """Lay out measured scores of whole tasks, the published ones beside them.

    Args:
        folder: with results (see `inbedder_utils.evaluation.run.evaluate`).
        models: names of the checkpoints.
        tasks: their names; those of robustness show the gaps between right and wrong instructions, of the V-measures
            as the paper clusters (`inbedder_utils.paper.published.robustness_gaps`).

    Returns:
        A row per task, model, pooling, layer and measure: score and sd (percent), published (the same checkpoint's
        score in the paper), verdict (see `inbedder_utils.paper.published.compare`), and best published (that of
        llama-2-7b-InBedder, for scale). Missing where there is none.
    """
    import pandas as pd

    kinds = {name.endswith(ROBUSTNESS) for name in tasks}
    table = pd.concat([(_gaps if robustness else _scores)(folder) for robustness in sorted(kinds)])
    table = table[table["model"].isin(models) & table["task"].isin(tasks)]
    place = {name: i for i, name in enumerate([*tasks, *models])}
    return table.sort_values(["task", "model"], key=lambda names: names.map(place), kind="stable", ignore_index=True)[
        _COLUMNS
    ]


def _scores(folder: str | Path) -> "pd.DataFrame":
    measured = report.measured_scores(folder).query("part == ''")
    published = report.published_scores().query("part == ''")
    compared = report.compare(measured, published)[[*_KEYS[:-1], "published", "verdict"]]
    best = report.last_layer(report.by_checkpoint(published).query("model == @BEST and pooling == 'fst_gen'"))
    table = measured.merge(compared, how="left", on=_KEYS[:-1])
    table["best published"] = table["task"].map(best.set_index("task")["score"])
    table.loc[~table["measure"].isin(report.PAPER_MEASURES), ["published", "verdict", "best published"]] = None
    return table


def _gaps(folder: str | Path) -> "pd.DataFrame":
    """Gaps between instructions, in the columns of scores."""
    table = _tall(report.measured_robustness(folder).query("measure == 'v_measure_minibatch'"))
    published = report.by_checkpoint(report.published_robustness())
    published["task"] += ("-" + published["part"]).where(published["part"] != "", "") + ROBUSTNESS
    published = _tall(published.assign(part="")).rename(columns={"score": "published"})
    best = published.query("model == @BEST and pooling == 'fst_gen'").rename(columns={"published": "best published"})
    table = table.merge(published, how="left", on=["model", "pooling", "task", "part", "measure"])
    return table.merge(best[["task", "measure", "best published"]], how="left").assign(
        sd=float("nan"), verdict=float("nan")
    )


def _tall(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Gaps as scores, one measure each."""
    gaps = report.robustness_gaps(scores).rename(columns=lambda kind: f"gap {kind}")
    return gaps.rename_axis(columns="measure").stack().rename("score").reset_index()
