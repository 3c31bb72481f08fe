"""Measured scores beside the published ones; all scores in percent."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from inbedder_utils.paper.layout import last_layer, robustness_gaps
from inbedder_utils.paper.measured import ROBUSTNESS, measured_robustness, measured_scores
from inbedder_utils.paper.published import by_checkpoint, published_robustness, published_scores
from inbedder_utils.paper.tasks import CELL, PAPER_MEASURES

DEVIATIONS = 2
"""How many standard deviations over seeds count as equal to a published score."""
ROUNDING = 0.005
"""How far a number printed with two decimals may be from the exact one."""
_BEST = "model == 'BrandonZYW/llama-2-7b-InBedder' and pooling == 'fst_gen'"


def compare(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Put measured scores beside the published ones of the same checkpoint, pooling, layer and task.

    The published score is that of a single run. A measured one is equal within spread if they differ by no more than
    `DEVIATIONS` standard deviations over seeds, or, where there are no seeds, by no more than `ROUNDING`.

    Args:
        measured: from `measured_scores`.
        published: from `published_scores`, or some of its rows.

    Returns:
        A row per published score of a checkpoint in `AS_PUBLISHED`: model, pooling, layer, task, part, published,
        measured, sd, difference (measured minus published), verdict ("equal within spread", "above", "below",
        "not run").
    """
    ours = measured[measured["measure"].isin(PAPER_MEASURES)].rename(columns={"score": "measured"})
    theirs = by_checkpoint(published).rename(columns={"score": "published"})
    table = theirs.merge(ours.drop(columns="measure"), how="left", on=CELL, validate="one_to_one")
    table["difference"] = table["measured"] - table["published"]
    spread = np.maximum(DEVIATIONS * table["sd"].fillna(0.0), ROUNDING)
    cases = [table["measured"].isna(), table["difference"].abs() <= spread, table["difference"] > 0]
    table["verdict"] = np.select(cases, ["not run", "equal within spread", "above"], "below")
    return table[[*CELL, "published", "measured", "sd", "difference", "verdict"]]


def summary(folder: str | Path, models: Sequence[str], tasks: Sequence[str]) -> pd.DataFrame:
    """Lay out measured scores of whole tasks, the published ones beside them.

    Args:
        folder: with results (see `inbedder_utils.evaluation.evaluate`).
        models: names of the checkpoints.
        tasks: their names; those of robustness show `robustness_gaps` of the V-measures as the paper clusters.

    Returns:
        A row per task, model, pooling, layer and measure: score, sd, published (the same checkpoint's in the paper),
        verdict (see `compare`), best published (llama-2-7b-InBedder's, for scale); missing where there is none.
    """
    readers = dict.fromkeys(_gaps if name.endswith(ROBUSTNESS) else _scores for name in tasks)
    table = pd.concat([read(folder) for read in readers])
    table = table[table["model"].isin(models) & table["task"].isin(tasks)]
    place = {name: i for i, name in enumerate([*tasks, *models])}
    table = table.sort_values(["task", "model"], key=lambda names: names.map(place), kind="stable", ignore_index=True)
    names = ["task", "model", "pooling", "layer", "measure", "score", "sd", "published", "verdict", "best published"]
    return table.reindex(columns=names)


def _scores(folder: str | Path) -> pd.DataFrame:
    measured = measured_scores(folder).query("part == ''")
    published = published_scores().query("part == ''")
    table = measured.merge(compare(measured, published)[[*CELL, "published", "verdict"]], how="left", on=CELL)
    best = last_layer(by_checkpoint(published).query(_BEST)).set_index("task")["score"]
    table["best published"] = table["task"].map(best)
    table.loc[~table["measure"].isin(PAPER_MEASURES), ["published", "verdict", "best published"]] = None
    return table


def _gaps(folder: str | Path) -> pd.DataFrame:
    published = by_checkpoint(published_robustness())
    published["task"] += ("-" + published["part"]).where(published["part"] != "", "") + ROBUSTNESS
    published = _tall(published.assign(part="")).rename(columns={"score": "published"})
    best = published.query(_BEST).rename(columns={"published": "best published"})
    table = _tall(measured_robustness(folder).query("measure == 'v_measure_minibatch'"))
    table = table.merge(published, how="left", on=["model", "pooling", "task", "part", "measure"])
    return table.merge(best[["task", "measure", "best published"]], how="left")


def _tall(scores: pd.DataFrame) -> pd.DataFrame:
    """Gaps as scores, one measure each."""
    gaps = robustness_gaps(scores).rename(columns=lambda kind: f"gap {kind}")
    return gaps.rename_axis(columns="measure").stack().rename("score").reset_index()
