"""Scores laid out as the paper's tables are; all scores in percent."""

import pandas as pd
from scipy.stats import hmean

from inbedder_utils.checks import integer
from inbedder_utils.paper.tasks import AWARENESS, CELL


def last_layer(scores: pd.DataFrame) -> pd.DataFrame:
    """Keep each model's last layer, and scores that belong to no layer."""
    deepest = scores.groupby("model")["layer"].transform("max")
    return scores[(scores["layer"] == deepest).fillna(True).astype(bool)]


def score_table(scores: pd.DataFrame, tasks: tuple[str, ...] = AWARENESS) -> pd.DataFrame:
    """Lay out scores (model, pooling, task, part, score; one layer per model) as the paper's tables do.

    Returns:
        A row per model and pooling, a column per task, and their average, missing where a task is.
    """
    whole = scores[(scores["part"] == "") & scores["task"].isin(tasks)]
    table = whole.pivot(index=["model", "pooling"], columns="task", values="score").reindex(columns=list(tasks))
    return table.assign(average=table.mean(axis=1, skipna=False)).rename_axis(columns=None)


def best_pooling(table: pd.DataFrame) -> pd.DataFrame:
    """Keep, of a `score_table`, the row of each model with the best average, best models first."""
    ordered = table.dropna(subset="average").sort_values("average", ascending=False, kind="stable")
    return ordered[~ordered.index.get_level_values("model").duplicated()]


def from_parts(scores: pd.DataFrame) -> pd.DataFrame:
    """Compute the scores of tasks in two parts anew, as harmonic means of the parts, and keep those of other tasks."""
    parts = scores[scores["part"] != ""].groupby(CELL[:-1], dropna=False)["score"]
    means = parts.agg(hmean)[parts.size() == 2].reset_index().assign(part="")
    others = scores[(scores["part"] == "") & ~scores["task"].isin(means["task"])]
    return pd.concat([means, others], ignore_index=True)


def explained(clusters: pd.DataFrame, n_words: int = 7) -> pd.DataFrame:
    """Lay out `published_clusters` or `published_reviews` with the strongest words of each, in both ways, each once.

    Returns:
        A row per corpus (or question) and cluster: most texts are (its most frequent label, if there are labels), words
        in answers, words decoded, bits (label entropy, if there are labels).
    """
    n_words = integer("n_words", n_words, at_least=1)
    table = clusters[[*clusters.columns[:1], "cluster"]].copy()
    if "labels" in clusters:
        table["most texts are"] = clusters["labels"].map(lambda labels: max(labels, key=labels.get))
    for column, title in (("words_tfidf", "words in answers"), ("words_decoded", "words decoded")):
        words = clusters[column].map(lambda tokens: dict.fromkeys(token.strip("▁").lower() for token in tokens))
        table[title] = [", ".join([*once][:n_words]) for once in words]
    if "entropy" in clusters:
        table["bits"] = clusters["entropy"].round(2)
    return table.set_index([*table.columns[:2]])


def robustness_gaps(scores: pd.DataFrame) -> pd.DataFrame:
    """How much better right instructions are than wrong ones.

    Args:
        scores: of one measure, with model, pooling, task, part, kind, and perhaps layer.

    Returns:
        A row per model, pooling, task, part (and layer): the paper's gaps, `correct` (worst correct instruction minus
        best incorrect one) and `implicit` (the same for implicit ones), and `correct mean` and `implicit mean`, the
        differences of the means, which hang less on single instructions.
    """
    keys = [key for key in (*CELL, "kind") if key in scores]
    by = scores.groupby(keys, dropna=False)["score"]
    low, high, mean = (getattr(by, name)().unstack("kind") for name in ("min", "max", "mean"))
    gaps = {kind: low[kind] - high["incorrect"] for kind in ("correct", "implicit")}
    return pd.DataFrame(gaps | {f"{kind} mean": mean[kind] - mean["incorrect"] for kind in gaps})
