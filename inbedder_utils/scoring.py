"""Score an embedder on a task: its texts under its question, once for each pooling and layer asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import hmean
from tqdm.auto import tqdm

from inbedder_utils.evaluation import pair_correlation, triplet_success, v_measures
from inbedder_utils.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

Setting = tuple[str, int | None]  # pooling and layer
Embed = Callable[[list[str], str | list[str]], Mapping[Setting, np.ndarray]]
Scores = dict[tuple[Setting, str], np.ndarray]  # (setting, measure): (seeds,) in percent


def embedding(
    encoder: Any, poolings: Sequence[str] | None = None, layers: Sequence[int] | None = None, **options: Any
) -> Embed:
    """How to embed texts in each of several ways at once.

    Args:
        encoder: anything with `encode(texts, instruction)`; with poolings or layers, an `Encoder`.
        poolings: as for `Encoder.pooled`.
        layers: as for `Encoder.pooled`.
        options: passed on to `encode` or `pooled`.

    Returns:
        A function of n texts and the question (or one per text) that gives {(pooling, layer): (n, d)}. Layers count
        from 0; a plain embedder has pooling "own" and no layer.

    Raises:
        ValueError: if poolings or layers are asked of a plain embedder, or unknown.
    """
    if (poolings or layers) and not hasattr(encoder, "pooled"):
        raise ValueError(f"{encoder!r} has one embedding only: leave out poolings and layers")
    if poolings or layers:
        encoder.pooled([], "?", poolings, layers)  # an unknown one shows at once
        return lambda texts, question: {
            (pooling, encoder.layer_index(pooling, layer)): vectors
            for (pooling, layer), vectors in encoder.pooled(texts, question, poolings, layers, **options).items()
        }
    return lambda texts, question: {own_setting(encoder): encoder.encode(texts, question, **options)}


def own_setting(encoder: Any) -> Setting:
    """The pooling and layer that `encode` gives; no layer for plain embedders and re-encoded answers."""
    pooling = encoder.checkpoint.pooling
    hidden = hasattr(encoder, "pooled") and pooling != "re_encode"
    return pooling, encoder.layer_index(pooling, encoder.checkpoint.layer) if hidden else None


def task_scores(
    task: Task,
    tables: Mapping[str, "pd.DataFrame"],
    embed: Embed,
    instructions: Mapping[str, Sequence[str]] | None = None,
    seeds: int = 5,
    show_progress_bar: bool = False,
) -> list[dict[str, Any]]:
    """Score all parts of a task.

    Args:
        task: of any kind but "mteb".
        tables: part, and its texts (see `inbedder_utils.datasets.load_set`).
        embed: from `embedding`.
        instructions: for robustness: "correct", "implicit", "incorrect", and the instructions.
        seeds: of k-means.
        show_progress_bar: draw a bar that counts instructions, for robustness.

    Returns:
        A row per part, pooling, layer and measure, the task as a whole (part "") among them: pooling, layer, part,
        measure, score (percent; the mean over seeds), sd (over seeds; None where nothing is drawn); rows of a
        robustness task also have kind and instruction.
    """
    if task.kind == "robustness":
        asked = [(kind, question) for kind, wordings in (instructions or {}).items() for question in wordings]
        return [
            row | {"kind": kind, "instruction": question}
            for kind, question in tqdm(asked, unit="instructions", disable=not show_progress_bar)
            for row in _rows("", _clustering(tables[""], question, embed, seeds))
        ]
    score = _SCORES[task.kind]
    parts = {part: score(table, task.instructions.get(part, ""), embed, seeds) for part, table in tables.items()}
    rows = [row for part, scores in parts.items() for row in _rows(part, scores)]
    if len(parts) > 1:
        first = next(iter(parts.values()))
        rows += _rows("", {key: hmean([scores[key] for scores in parts.values()], axis=0) for key in first})
    return rows


def _rows(part: str, scores: Scores) -> list[dict[str, Any]]:
    return [
        {
            "pooling": pooling,
            "layer": layer,
            "part": part,
            "measure": measure,
            "score": round(float(values.mean()), 4),
            "sd": round(float(values.std()), 4) if len(values) > 1 else None,
        }
        for ((pooling, layer), measure), values in scores.items()
    ]


def _triplets(table: "pd.DataFrame", instruction: str, embed: Embed, seeds: int) -> Scores:
    texts = list(dict.fromkeys(text for role in ("anchor", "positive", "negative") for text in table[role]))
    place = {text: i for i, text in enumerate(texts)}
    roles = [table[role].map(place).to_numpy() for role in ("anchor", "positive", "negative")]
    return {
        (setting, "success"): np.array([100 * triplet_success(*(vectors[role] for role in roles))])
        for setting, vectors in embed(texts, instruction).items()
    }


def _pairs(table: "pd.DataFrame", instruction: str, embed: Embed, seeds: int) -> Scores:
    texts = [*table["sentence1"], *table["sentence2"]]  # in one call: the words of one side count in the other
    scores = table["score"].astype(float).tolist()
    return {
        (setting, "spearman"): np.array([100 * pair_correlation(*np.split(vectors, 2), scores)])
        for setting, vectors in embed(texts, [*table["instruction"]] * 2).items()
    }


def _clustering(table: "pd.DataFrame", instruction: str, embed: Embed, seeds: int) -> Scores:
    return {
        (setting, measure): 100 * values
        for setting, vectors in embed(table["text"].tolist(), instruction).items()
        for measure, values in v_measures(vectors, table["cluster"].astype(str).tolist(), seeds).items()
    }


_SCORES = {"triplets": _triplets, "pairs": _pairs, "clustering": _clustering}
