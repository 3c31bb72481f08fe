"""Score an embedder on a task: its texts under its question, once for each pooling and layer asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hmean
from tqdm.auto import tqdm

from inbedder_utils.evaluation.measures import pair_correlation, triplet_success, v_measures
from inbedder_utils.evaluation.tasks import Task

Setting = tuple[str, int | None]  # pooling and layer
Scores = dict[tuple[Setting, str], np.ndarray]  # (setting, measure): (seeds,) in percent


class Embedding:
    """Embeds texts in each of several ways at once, those of `Encoder.pooled`; any other embedder has one way only.

    `at_once` is the number of instructions that texts should be asked together: several where the model then reads a
    text once, for their embeddings are all held in memory.

    Raises:
        ValueError: if poolings or layers are asked of a plain embedder, or unknown.
    """

    def __init__(
        self, encoder: Any, poolings: Sequence[str] | None = None, layers: Sequence[int] | None = None
    ) -> None:
        self.encoder, self.poolings, self.layers = encoder, poolings, layers
        self.sweeps = poolings is not None or layers is not None
        if self.sweeps and not hasattr(encoder, "pooled"):
            raise ValueError(f"{encoder!r} has one embedding only: leave out poolings and layers")
        n_settings = len(encoder.pooled([], "?", poolings, layers)) if self.sweeps else 1  # what is unknown shows here
        reads_once = encoder.checkpoint.family == "causal" or encoder.checkpoint.read_once
        self.at_once = max(1, 10 // n_settings) if reads_once else 1

    def __call__(
        self, texts: list[str], instruction: str | list[str], show_progress_bar: bool = False
    ) -> Mapping[Setting, np.ndarray]:
        """Embed n texts under a question, or one per text: {(pooling, layer): (n, d)}, as `own_setting` names them."""
        encoder, bar = self.encoder, {"show_progress_bar": True} if show_progress_bar else {}
        if not self.sweeps:
            return {own_setting(encoder): encoder.encode(texts, instruction, **bar)}
        pooled = encoder.pooled(texts, instruction, self.poolings, self.layers, **bar)
        return {(pooling, encoder.layer_index(pooling, layer)): vectors for (pooling, layer), vectors in pooled.items()}


def own_setting(encoder: Any) -> Setting:
    """The pooling that `encode` gives, and its layer, from 0; none for plain embedders and re-encoded answers."""
    pooling = encoder.checkpoint.pooling
    hidden = hasattr(encoder, "pooled") and pooling != "re_encode"
    return pooling, encoder.layer_index(pooling, encoder.checkpoint.layer) if hidden else None


def task_scores(
    task: Task,
    tables: Mapping[str, pd.DataFrame],
    embed: Embedding,
    instructions: Mapping[str, Sequence[str]] | None = None,
    seeds: int = 5,
    show_progress_bar: bool = False,
) -> list[dict[str, Any]]:
    """Score all parts of a task.

    Args:
        task: what is scored; one of mteb's only as `encode` embeds it.
        tables: part, and its texts (see `inbedder_utils.data.load_set`).
        embed: the embedder.
        instructions: for robustness (see `inbedder_utils.evaluation.robustness`).
        seeds: of k-means.
        show_progress_bar: draw a bar that counts texts; for robustness, instructions.

    Returns:
        A row per part, pooling, layer and measure, the task as a whole (part "") among them: pooling, layer, part,
        measure, score (percent; the mean over seeds), sd (over seeds; None where nothing is drawn); rows of a
        robustness task also have kind and instruction.
    """
    if task.kind == "mteb":
        from inbedder_utils.evaluation.mteb_bridge import generic_score  # heavy, and an extra

        measure = "v_measure_minibatch" if "Clustering" in task.parts[""] else "map"
        score = np.array([generic_score(embed.encoder, task)])
        return _as_rows("", {(own_setting(embed.encoder), measure): score})
    if task.kind == "robustness":
        wordings = [(kind, question) for kind, questions in (instructions or {}).items() for question in questions]
        scores_of_each = _under_each(tables[""], [question for _, question in wordings], embed, seeds)
        hidden = {} if show_progress_bar else {"disable": True}  # shown unless TQDM_DISABLE is set
        bar = tqdm(scores_of_each, total=len(wordings), unit="instructions", **hidden)
        return [
            row | {"kind": kind, "instruction": question}
            for (kind, question), scores in zip(wordings, bar, strict=True)
            for row in _as_rows("", scores)
        ]
    score = _SCORES[task.kind]
    embed_part = partial(embed, show_progress_bar=show_progress_bar)
    parts = {part: score(table, task.instructions.get(part, ""), embed_part, seeds) for part, table in tables.items()}
    rows = [row for part, scores in parts.items() for row in _as_rows(part, scores)]
    if len(parts) > 1:
        first = next(iter(parts.values()))
        rows += _as_rows("", {key: hmean([scores[key] for scores in parts.values()], axis=0) for key in first})
    return rows


def _as_rows(part: str, scores: Scores) -> list[dict[str, Any]]:
    rows = []
    for ((pooling, layer), measure), values in scores.items():
        mean, sd = round(float(values.mean()), 4), round(float(values.std()), 4) if len(values) > 1 else None
        key = {"pooling": pooling, "layer": layer, "part": part, "measure": measure}
        rows.append(key | {"score": mean, "sd": sd})
    return rows


def _triplets(table: pd.DataFrame, instruction: str, embed: Callable, seeds: int) -> Scores:
    places, texts = pd.factorize(pd.concat([table["anchor"], table["positive"], table["negative"]]))
    return {
        (setting, "success"): np.array([100 * triplet_success(*np.split(vectors[places], 3))])
        for setting, vectors in embed(texts.tolist(), instruction).items()
    }


def _pairs(table: pd.DataFrame, instruction: str, embed: Callable, seeds: int) -> Scores:
    texts = [*table["sentence1"], *table["sentence2"]]  # in one call: the words of one side count in the other
    scores = table["score"].astype(float).tolist()
    return {
        (setting, "spearman"): np.array([100 * pair_correlation(*np.split(vectors, 2), scores)])
        for setting, vectors in embed(texts, [*table["instruction"]] * 2).items()
    }


def _clustering(table: pd.DataFrame, instruction: str, embed: Callable, seeds: int) -> Scores:
    return _v_scores(table, embed(table["text"].tolist(), instruction), seeds)


def _under_each(table: pd.DataFrame, instructions: list[str], embed: Embedding, seeds: int) -> Iterator[Scores]:
    """Scores of clusters under one instruction after another, several of them asked together."""
    for start in range(0, len(instructions), embed.at_once):
        questions = instructions[start : start + embed.at_once]
        n = len(questions)
        asked = questions[0] if n == 1 else questions * len(table)  # plain embedders take one for all texts
        by_setting = embed([text for text in table["text"] for _ in questions], asked)
        for i in range(n):
            yield _v_scores(table, {setting: vectors[i::n] for setting, vectors in by_setting.items()}, seeds)


def _v_scores(table: pd.DataFrame, by_setting: Mapping[Setting, np.ndarray], seeds: int) -> Scores:
    return {
        (setting, measure): 100 * values
        for setting, vectors in by_setting.items()
        for measure, values in v_measures(vectors, table["cluster"], seeds).items()
    }


_SCORES = {"triplets": _triplets, "pairs": _pairs, "clustering": _clustering}
