"""Personalized clustering: ask a corpus a question, and see it form clusters by the answers."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from inbedder_utils.checks import (
    TextsCut,
    checked_labels,
    checked_questions,
    checked_texts,
    seed_number,
    short,
)
from inbedder_utils.clustering.explain import explain
from inbedder_utils.clustering.names import Namer
from inbedder_utils.clustering.partition import (
    LARGE_CORPUS,
    TEXTS_SAMPLED,
    checked_embeddings,
    numbers_to_try,
    partition,
    sample,
)
from inbedder_utils.clustering.result import Clustering


def ask(
    encoder: Any,
    texts: Iterable[str],
    instruction: str,
    n_clusters: int | str | None = None,
    *,
    estimator: Any = None,
    seed: int = 0,
    labels: Sequence[Any] | None = None,
    namer: Namer | None = None,
    show_progress_bar: bool = False,
) -> Clustering:
    """Ask every text a question, and cluster the texts by their answers.

    Args:
        encoder: anything with `encode(texts, instruction)`, such as `load_encoder()`. Where it has `answer` and
            `words`, clusters are explained by them, otherwise by the texts' own words.
        texts: n strings.
        instruction: the question.
        n_clusters: how many; None takes the number from 2 to 12 with the best silhouette (on at most 2,000 texts), but
            rather than 2 a finer one whose peak is nearly as high. "about 8" (or "about:8") chooses so from 6 to 10.
        estimator: any scikit-learn clusterer, or other object with `fit_predict`, set up with its own number of
            clusters and seed; it gets the normalized embeddings, and may leave texts out (-1). None for `KMeans` with
            10 starts, above 10,000 texts `MiniBatchKMeans`.
        seed: of the clustering and of all samples.
        labels: n labels to judge the clusters by; they are turned into strings, and play no part in the clustering.
            Texts whose label is missing (None or NaN) are clustered, and not judged.
        namer: names the clusters instead, such as a language model: any function of the question, up to three
            typical texts and up to 10 distinctive words, the best first, that returns a name. It is called once
            per cluster; of what it returns, white space is made single spaces, what is longer than 60 characters is
            cut, and names that repeat are numbered. What it raises is raised.
        show_progress_bar: have the encoder draw its bar.

    Returns:
        The clusters, largest first, explained and judged; they don't depend on the order of the texts. Texts whose
        embeddings are all the same make one cluster, whatever was asked for, and so do one or two texts if the number
        is to be chosen; `notes` of the result says so, and what of the texts was not read.

    Raises:
        TypeError: if a text or the instruction is not a string, the encoder has no `encode`, the estimator no
            `fit_predict`, or a number is something else; if the namer can't be called, or returns no string.
        ValueError: if there are no texts, fewer texts than clusters, not one label per text, both an estimator and a
            number of clusters, or the seed is out of range; or if the encoder returns no finite (n, d), or the namer
            an empty name.
    """
    if isinstance(encoder, str) or not callable(getattr(encoder, "encode", None)):
        raise TypeError(f"encoder must have encode(texts, instruction), got {short(encoder)}: pass load_encoder()")
    index = texts.index if isinstance(texts, pd.Series) else None
    texts = checked_texts(texts)
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be one question, got {type(instruction).__name__}: call ask once for each")
    checked_questions([instruction])
    seed = seed_number(seed)
    labels = None if labels is None else checked_labels(labels, len(texts))
    if namer is not None and not callable(namer):
        raise TypeError(f"namer must be a function of (question, texts, words) to a name, got {short(namer)}")
    numbers = numbers_to_try(len(texts), n_clusters, estimator)
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # a note says it, once
        embeddings, answers = _embeddings_and_answers(encoder, texts, instruction, seed, bar)
    embeddings = checked_embeddings(embeddings, len(texts))
    order = np.array(sorted(range(len(texts)), key=texts.__getitem__))  # random starts then fall on the same texts
    found, curve, notes, stability = partition(embeddings[order], numbers, estimator, seed)
    assignments = np.empty_like(found)
    assignments[order] = found
    explanations = explain(encoder, texts, embeddings, assignments, answers, instruction, namer)
    notes += encoder.unread(texts, instruction) if hasattr(encoder, "unread") else []
    return Clustering(
        *(instruction, texts, assignments, embeddings, answers, labels, explanations, curve, notes, seed),
        stability=stability,
        index=index,
    )


def _embeddings_and_answers(
    encoder: Any, texts: list[str], instruction: str, seed: int, bar: dict[str, bool]
) -> tuple[Any, list[str | None] | None]:
    """Answers are those of all texts, of a sample of many (None for the others), or None."""
    if len(texts) <= LARGE_CORPUS and hasattr(encoder, "encode_with_answers"):
        return encoder.encode_with_answers(texts, instruction, **bar)
    embeddings = encoder.encode(texts, instruction, **bar)
    if not hasattr(encoder, "answer"):
        return embeddings, None
    chosen = sample(len(texts), TEXTS_SAMPLED if len(texts) > LARGE_CORPUS else LARGE_CORPUS, seed).tolist()
    answers = dict(zip(chosen, encoder.answer([texts[i] for i in chosen], instruction, **bar), strict=True))
    return embeddings, [answers.get(i) for i in range(len(texts))]
