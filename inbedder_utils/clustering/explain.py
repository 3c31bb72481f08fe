"""What each cluster is: the words of its answers, its mean read back as words, typical and borderline texts, a name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from inbedder_utils.clustering.names import (
    Namer,
    answer_and_words,
    contradicts_itself,
    distinct_names,
    names_given,
    whole_words,
)
from inbedder_utils.clustering.partition import NOISE, sample

WORDS_PER_CLUSTER = 10
TEXTS_PER_CLUSTER = 3
TEXTS_READ = 10_000
"""Texts whose own words are counted, at most."""
LEAST_CONTRAST = 1.5
"""How many times as frequent as in all other answers, or texts, a word must be in a cluster to be a mark of it."""


@dataclass(frozen=True)
class Explanation:
    """What one cluster is.

    Attributes:
        name: one or two words or whole answers, distinct in a clustering; "unclear" first if answers contradict. Or
            what a namer calls it.
        words: {word or whole answer: share of the cluster's answers with it}, the most distinctive first; `text_words`
            where nothing was answered.
        decoded_words: what the LM head reads in the cluster's mean, best first, of the words that its texts or answers
            have; empty for a plain embedder.
        typical: indices of the texts nearest to the cluster's mean, nearest first.
        borderline: indices of the texts that are nearly as near to another cluster's mean, the least clear first.
        text_words: {word: share of the cluster's texts that it is in}, the most distinctive first.
    """

    name: str
    words: dict[str, float]
    decoded_words: list[str]
    typical: list[int]
    borderline: list[int]
    text_words: dict[str, float] = field(default_factory=dict)


def explain(
    encoder: Any,
    texts: Sequence[str],
    embeddings: np.ndarray,
    assignments: np.ndarray,
    answers: Sequence[str | None] | None = None,
    question: str = "",
    namer: Namer | None = None,
) -> list[Explanation]:
    """Say what each cluster is: by its answers, by its texts' own words, and by its mean read back as words.

    What the mean is read as counts only where an answer or a text of the cluster has the word, too.

    Args:
        encoder: anything with `encode`.
        texts: n strings.
        embeddings: (n, d), as encoded, not normalized.
        assignments: (n,) integers, 0 to k - 1, or `NOISE`.
        answers: n answers to the question, None for a text that was not asked; None if the encoder answers nothing.
        question: for the namer.
        namer: names the clusters, by its texts and words; None to name them here. Errors are those of `names_given`.
    """
    k = int(assignments.max()) + 1
    if k == 0:
        return []
    read = sample(len(texts), TEXTS_READ, seed=0)
    own = [texts[i] for i in read]
    text_words = distinctive_words(own, assignments[read], k, CountVectorizer(**OF_TEXTS))
    said = [i for i, answer in enumerate(answers or []) if answer]
    words = text_words
    if said:
        words = distinctive_words([answers[i] for i in said], assignments[said], k, CountVectorizer(**OF_ANSWERS))
    given: list[Counter[str]] = [Counter() for _ in range(k)]
    for i in said:
        if assignments[i] != NOISE:
            given[assignments[i]][" ".join(whole_words(answers[i]))] += 1
    held = [set(" ".join(of_cluster).split()) for of_cluster in given]
    for i in {*read.tolist(), *said}:
        if assignments[i] != NOISE:
            held[assignments[i]].update(whole_words(texts[i]))
    decoded = [
        [word for word in found if word.casefold() in supported]
        for found, supported in zip(decoded_words(encoder, embeddings, assignments), held, strict=True)
    ]
    typical, borderline = nearest_and_farthest(texts, embeddings, assignments)
    if namer is None:
        names = distinct_names(words, text_words, decoded, list(map(contradicts_itself, given)))
    else:
        names = names_given(namer, question, [[texts[i] for i in of_cluster] for of_cluster in typical], words)
    return list(map(Explanation, names, words, decoded, typical, borderline, text_words))


OF_TEXTS = {"binary": True, "token_pattern": r"(?u)\b[^\W\d_]\w+\b", "stop_words": "english"}
OF_ANSWERS = {"analyzer": answer_and_words}


def explain_options(
    names: Sequence[str],
    encoder: Any,
    texts: Sequence[str],
    embeddings: np.ndarray,
    assignments: np.ndarray,
    answers: Sequence[str | None] | None = None,
) -> list[Explanation]:
    """Say what options hold, as `explain` does; they have names, and may be empty."""
    filled = np.unique(assignments[assignments != NOISE])
    among_filled = np.where(assignments == NOISE, NOISE, np.searchsorted(filled, assignments))
    explained = dict(zip(filled.tolist(), explain(encoder, texts, embeddings, among_filled, answers), strict=True))
    nothing = Explanation("", {}, [], [], [])
    return [replace(explained.get(option, nothing), name=name) for option, name in enumerate(names)]


def distinctive_words(
    documents: Sequence[str], assignments: np.ndarray, k: int, vectorizer: CountVectorizer
) -> list[dict[str, float]]:
    """Find the words that set the documents of each of k clusters apart, by class-based TF-IDF.

    All documents of a cluster count as one (Grootendorst 2022, BERTopic, section 3.3), here with every word counted
    once per document: the weight of word w in cluster c is share(w, c) * log(1 + A / n(w)), share being that of the
    cluster's documents with w, n(w) the number of all documents with w, and A the average n words per cluster.

    What a word is, `vectorizer` says; documents in no cluster count among the others. Per cluster there are up to
    `WORDS_PER_CLUSTER` words with their shares, the heaviest first; words that aren't `LEAST_CONTRAST` times as
    frequent in the cluster as in all other documents are no mark of it and are left out.
    """
    try:
        holds = vectorizer.fit_transform(documents).astype(np.float64)
    except ValueError:  # scikit-learn's answer to documents without a single word
        return [{} for _ in range(k)]
    inside = assignments != NOISE
    member = csr_matrix((np.ones(inside.sum()), (assignments[inside], np.flatnonzero(inside))), (k, len(documents)))
    counts, overall = (member @ holds).toarray(), np.asarray(holds.sum(axis=0)).ravel()  # (k, words), (words,)
    sizes = np.asarray(member.sum(axis=1)).reshape(k, 1)
    shares = counts / np.maximum(sizes, 1)
    elsewhere = (overall - counts) / np.maximum(len(documents) - sizes, 1)
    weights = shares * np.log1p(overall.sum() / k / overall)
    weights[shares < LEAST_CONTRAST * elsewhere] = 0
    vocabulary = vectorizer.get_feature_names_out()
    best = np.argsort(-weights, axis=1, kind="stable")[:, :WORDS_PER_CLUSTER]
    return [{str(vocabulary[j]): float(shares[c, j]) for j in best[c] if weights[c, j] > 0} for c in range(k)]


def decoded_words(
    encoder: Any, embeddings: np.ndarray, assignments: np.ndarray, k: int = WORDS_PER_CLUSTER
) -> list[list[str]]:
    """Read what sets each cluster's mean embedding apart as words, through the LM head.

    The mean of all texts is taken off first, so that what every answer has in common is not read (the paper's
    contrastive view of clusters). With a single cluster there is nothing to set apart, and its mean is read as it is.
    Per cluster there are k words, best first; none where the encoder reads no embeddings as words.
    """
    n_clusters = int(assignments.max()) + 1
    reads = hasattr(encoder, "words") and getattr(encoder.checkpoint, "pooling", None) != "re_encode"
    if not reads or embeddings.shape[1] != encoder.lm.get_output_embeddings().weight.shape[1]:
        return [[] for _ in range(n_clusters)]
    means = np.stack([embeddings[assignments == c].mean(axis=0) for c in range(n_clusters)])
    return encoder.words(means - embeddings.mean(axis=0) if n_clusters > 1 else means, k)


def nearest_and_farthest(
    texts: Sequence[str], embeddings: np.ndarray, assignments: np.ndarray, k: int = TEXTS_PER_CLUSTER
) -> tuple[list[list[int]], list[list[int]]]:
    """Find each cluster's k most typical and most borderline texts, by cosine; one that comes twice is named once.

    These are indices of the texts nearest to the cluster's mean; and of those whose cosine to it is least above that to
    the nearest other mean (none if there is one cluster only).
    """
    n_clusters = int(assignments.max()) + 1
    unit = normalize(embeddings)
    means = normalize(np.stack([unit[assignments == c].mean(axis=0) for c in range(n_clusters)]))
    cosines = unit @ means.T
    typical, borderline = [], []
    for cluster in range(n_clusters):
        members = np.flatnonzero(assignments == cluster)
        own = cosines[members, cluster]
        typical.append(_first_distinct(members[np.argsort(-own, kind="stable")], texts, k))
        margins = own - np.delete(cosines[members], cluster, axis=1).max(axis=1, initial=-np.inf)
        order = members[np.argsort(margins, kind="stable")] if n_clusters > 1 else members[:0]
        borderline.append(_first_distinct(order, texts, k))
    return typical, borderline


def _first_distinct(order: np.ndarray, texts: Sequence[str], k: int) -> list[int]:
    repeated = pd.Series([texts[i] for i in order], dtype=object).duplicated().to_numpy()
    return order[~repeated][:k].tolist()
