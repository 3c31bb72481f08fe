"""What the paper shows, where it is here, and whether its printed numbers follow from the raw ones."""

from pathlib import Path

import pandas as pd

from inbedder_utils.paper.comparison import ROUNDING, compare
from inbedder_utils.paper.layout import best_pooling, from_parts, last_layer, score_table
from inbedder_utils.paper.measured import measured_robustness, measured_scores
from inbedder_utils.paper.published import (
    PUBLISHED,
    by_checkpoint,
    published_models,
    published_robustness,
    published_scores,
)
from inbedder_utils.paper.tasks import AWARENESS, GENERIC, USER_SETS

_TABLES = {"Table 1": AWARENESS, "Table 2": GENERIC, "authors' README": GENERIC, "RateMyProf": USER_SETS}
"""The tables with printed numbers, and the tasks that an average in each is over."""


def recomputed_numbers() -> pd.DataFrame:
    """Compute every printed number anew from the raw ones: tasks from their parts, then averages over tasks.

    As in the authors' script, averages are over scores that have been rounded to two decimals.

    Returns:
        A row per printed number: table, model (as labelled), pooling, task, printed, recomputed, equal (to rounding).
    """
    raw = from_parts(last_layer(published_scores()))
    raw["score"] = raw["score"].round(2)
    rows = pd.read_csv(PUBLISHED / "printed.csv")
    found = pd.concat({name: score_table(raw, tasks).stack() for name, tasks in _TABLES.items()})
    rows["recomputed"] = found.loc[pd.MultiIndex.from_frame(rows[["table", "model", "pooling", "task"]])].to_numpy()
    rows["equal"] = (rows["printed"] - rows["recomputed"]).abs() <= ROUNDING + 1e-6
    rows["model"] = rows["model"].map(published_models().set_index("model")["label"])
    return rows


def reproduction(results: str | Path) -> pd.DataFrame:
    """List the paper's tables and figures.

    Args:
        results: folder with scores that were measured here (see `inbedder_utils.evaluation.evaluate`).

    Returns:
        A row per item: item, shows, where (here), printed (how many printed numbers are known), equal (how many of
        them follow from the raw numbers), needs (to run it), hours, measured (how many of the published scores of
        public checkpoints on its tasks, at the last layer, were measured here).
    """
    items = pd.read_csv(PUBLISHED / "items.csv", keep_default_na=False)
    counts = recomputed_numbers().groupby("table")["equal"].agg(["size", "sum"])
    counts = [counts.reindex(names.split("; ")).sum().astype(int) for names in items["tables"]]
    items["printed"], items["equal"] = zip(*(count.tolist() for count in counts), strict=True)
    items["measured"] = _measured(items["tasks"], results)
    return items[["item", "shows", "where", "printed", "equal", "needs", "hours", "measured"]]


def _measured(tasks: pd.Series, results: str | Path) -> list[str]:
    verdicts = compare(measured_scores(results), last_layer(published_scores()))
    asked, instructions = measured_robustness(results), by_checkpoint(published_robustness())
    asked = asked[asked["model"].isin(instructions["model"]) & (asked["measure"] == "v_measure_minibatch")]
    counts = []
    for names in tasks:
        cells = verdicts[verdicts["task"].isin(names.split("; "))]
        done, of = (cells["verdict"] != "not run").sum(), len(cells)
        if names == "robustness":
            done, of = len(asked), len(instructions)
        counts.append(f"{done} of {of}" if of else "-")
    return counts


def runs() -> pd.DataFrame:
    """Lay out the published runs that have all three tests of awareness, each at its best pooling, best first.

    Returns:
        A row per model (as labelled) and pooling: training, the tests of awareness and their average, the five corpora
        clustered for a user and theirs (`user sets`), the average of the generic tasks (`generic`).
    """
    scores, models = last_layer(published_scores()), published_models().set_index("model")
    table = best_pooling(score_table(scores)).join(models["training"], on="model")
    table = table.join(score_table(scores, USER_SETS).rename(columns={"average": "user sets"}))
    table = table.join(score_table(scores, GENERIC)["average"].rename("generic")).rename(index=models["label"])
    return table[["training", *table.columns.drop("training")]]


def later_results() -> pd.DataFrame:
    """Read what later papers print about methods that embed by instruction, with InBedder's score on the same tests.

    Columns are method, venue, link, metric, score, inbedder, seen in (where the numbers were read).
    """
    return pd.read_csv(PUBLISHED / "later.csv")


def reproduction_page(results: str | Path) -> str:
    """The tables of docs/reproduction.md, in Markdown: `reproduction`, `recomputed_numbers` and `runs`."""
    numbers = recomputed_numbers()
    numbers["equal"] = numbers["equal"].map({True: "yes", False: "no"})
    tables = {
        "Tables and figures": reproduction(results),
        "Printed numbers, computed anew": numbers,
        "All published runs": runs().reset_index(),
    }
    return "\n".join(f"## {title}\n\n{_markdown(table)}\n" for title, table in tables.items())


def _markdown(table: pd.DataFrame) -> str:
    lines = [table.columns, ["---"] * table.shape[1], *table.to_numpy()]
    texts = [[f"{value:z.2f}" if isinstance(value, float) else str(value) for value in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in texts).replace(" nan ", " - ")
