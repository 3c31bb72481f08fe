"""Personalized clustering: ask a corpus a question, and see it form clusters by the answers, or sorted into options."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from inbedder_utils.checks import (
    TextsCut,
    checked_encoder,
    checked_labels,
    checked_questions,
    checked_texts,
    seed_number,
    short,
)
from inbedder_utils.clustering.anchors import Anchors
from inbedder_utils.clustering.explain import explain, explain_options
from inbedder_utils.clustering.names import Namer
from inbedder_utils.clustering.options import anchors_of_options, checked_examples, checked_options, doubts
from inbedder_utils.clustering.partition import (
    LARGE_CORPUS,
    TEXTS_SAMPLED,
    checked_embeddings,
    numbers_to_try,
    partition,
    sample,
)
from inbedder_utils.clustering.result import Clustering

TEXTS_ANSWERED = 500
"""Texts that are answered in words, for names, where embeddings are given."""


def ask(
    encoder: Any,
    texts: Iterable[str],
    instruction: str,
    n_clusters: int | str | None = None,
    *,
    options: Sequence[str] | Mapping[str, str] | None = None,
    examples: Mapping[str, Sequence[str]] | None = None,
    embeddings: np.ndarray | None = None,
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
        options: two or more categories to sort the texts into instead: names, "name: description", or {name:
            description}. They stay in this order; texts that are like none of them are "other".
        examples: {option: texts that belong to it}, if there are some: a handful for each makes it surer.
        embeddings: (n, d) of the texts under this question, if they are there already, by this encoder or a lens for
            it: then nothing but the options is encoded, and at most 500 texts are answered in words, for the names.
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
        The clusters, largest first, or the options, explained and judged; they don't depend on the order of the texts.
        `memberships` says how surely each text belongs to which, `assign` where further texts belong. Texts whose
        embeddings are all the same make one cluster, whatever was asked for, and so do one or two texts if the number
        is to be chosen; `notes` of the result says so, and what of the texts was not read.

    Raises:
        TypeError: if a text or the instruction is not a string, the encoder has no `encode`, the estimator no
            `fit_predict`, or a number is something else; if the namer can't be called, or returns no string.
        ValueError: if there are no texts, fewer texts than clusters, not one label per text, more than one of options,
            estimator and number of clusters, options and a namer, or the seed is out of range; if there are not two
            options, one comes twice, or the encoder can't read it, or gives all the same embedding; if the embeddings
            are no finite (n, d), or the namer returns an empty name.
    """
    checked_encoder(encoder)
    index = texts.index if isinstance(texts, pd.Series) else None
    texts = checked_texts(texts)
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be one question, got {type(instruction).__name__}: call ask once for each")
    checked_questions([instruction])
    seed = seed_number(seed)
    labels = None if labels is None else checked_labels(labels, len(texts))
    if namer is not None and not callable(namer):
        raise TypeError(f"namer must be a function of (question, texts, words) to a name, got {short(namer)}")
    named, shown = _checked_sorting(encoder, instruction, options, examples, [n_clusters, estimator, namer])
    numbers = numbers_to_try(len(texts), n_clusters, estimator)
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    unread = encoder.unread(texts, instruction) if embeddings is None and hasattr(encoder, "unread") else []
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # a note says it, once
        if embeddings is None:
            embeddings, answers = _embeddings_and_answers(encoder, texts, instruction, seed, bar)
            embeddings = checked_embeddings(embeddings, len(texts))
        else:
            embeddings = checked_embeddings(embeddings, len(texts))
            answers = _answers(encoder, texts, instruction, sample(len(texts), TEXTS_ANSWERED, seed), bar)
        anchors, likeness = _anchors(encoder, instruction, embeddings, named, shown) if named else (None, None)
    if anchors is None:
        assignments, curve, notes, stability = partition(texts, embeddings, numbers, estimator, seed)
        explanations = explain(encoder, texts, embeddings, assignments, answers, instruction, namer)
    else:
        assignments, curve, stability = anchors.nearest(anchors.similarities(embeddings)), None, None
        explanations = explain_options([*named], encoder, texts, embeddings, assignments, answers)
        notes = doubts([*named], likeness, np.bincount(assignments + 1, minlength=len(named) + 1)[1:])
    return Clustering(
        *(instruction, texts, assignments, embeddings, answers, labels, explanations, curve, notes + unread, seed),
        stability=stability,
        index=index,
        encoder=encoder,
        option_anchors=anchors,
    )


def _checked_sorting(
    encoder: Any, instruction: str, options: Any, examples: Any, others: list[Any]
) -> tuple[dict[str, str], list[tuple[str, int]]]:
    """Options and examples, empty without; `others` are what only clusters can have."""
    if options is None:
        if examples is not None:
            raise ValueError("examples are of options: pass options too")
        return {}, []
    if any(other is not None for other in others):
        raise ValueError("n_clusters, estimator and namer are for clusters: leave them out, or the options")
    named = checked_options(options)
    for name in named if hasattr(encoder, "unread") else ():
        if unread := encoder.unread([name], instruction):
            raise ValueError(
                f"the encoder can't read option {short(name)} ({unread[0]}): write it in short, known words"
            )
    return named, [] if examples is None else checked_examples(examples, named)


def _anchors(
    encoder: Any, instruction: str, embeddings: np.ndarray, options: dict[str, str], examples: list[tuple[str, int]]
) -> tuple[Anchors, np.ndarray]:
    def encode(texts: list[str]) -> np.ndarray:
        encoded = checked_embeddings(encoder.encode(texts, instruction), len(texts))
        if encoded.shape[1] != embeddings.shape[1]:
            widths = f"options have embeddings of width {encoded.shape[1]}, the texts of {embeddings.shape[1]}"
            raise ValueError(f"{widths}: use one encoder for both, and none whose vectors depend on the other texts")
        return encoded

    return anchors_of_options(encode, instruction, embeddings, options, examples)


def _embeddings_and_answers(
    encoder: Any, texts: list[str], instruction: str, seed: int, bar: dict[str, bool]
) -> tuple[Any, list[str | None] | None]:
    """Answers are those of all texts, of a sample of many (None for the others), or None."""
    if len(texts) <= LARGE_CORPUS and hasattr(encoder, "encode_with_answers"):
        return encoder.encode_with_answers(texts, instruction, **bar)
    embeddings = encoder.encode(texts, instruction, **bar)
    answered = sample(len(texts), TEXTS_SAMPLED if len(texts) > LARGE_CORPUS else LARGE_CORPUS, seed)
    return embeddings, _answers(encoder, texts, instruction, answered, bar)


def _answers(
    encoder: Any, texts: list[str], instruction: str, answered: np.ndarray, bar: dict[str, bool]
) -> list[str | None] | None:
    if not hasattr(encoder, "answer"):
        return None
    answers = encoder.answer([texts[i] for i in answered], instruction, **bar)
    by_text = dict(zip(answered.tolist(), answers, strict=True))
    return [by_text.get(i) for i in range(len(texts))]
