"""What each cluster is: the words of its answers, its mean read back as words, typical and borderline texts, a name."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain, combinations, count
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from inbedder_utils.clustering.result import NOISE, Explanation, sample

WORDS_PER_CLUSTER = 10
TEXTS_PER_CLUSTER = 3
TEXTS_READ = 10_000
"""Texts whose own words are counted, at most."""
SHARE_FOR_A_NAME = 0.5
"""Share of a cluster's answers that one word must be in to be the whole name."""
LEAST_CONTRAST = 1.5
"""How many times as frequent as in all other answers, or texts, a word must be in a cluster to be a mark of it."""
LEAST_SHARE = 0.1
"""Of a cluster's answers, for a word of theirs to be part of its name."""
SHARE_TO_LEAD = 0.2
"""Of a cluster's answers, for the best of them to name it even if a word of the texts is more frequent."""
WHOLE_SHARE = 0.8
"""Share of a word's answers that one longer answer must make up to be named instead: "south africa" for "south"."""
CONTRADICTED_SHARE = 2 / 3
"""Of the times that its most frequent answer is given, how often the opposite must be for a cluster to be unclear."""
OPPOSITES = [("yes", "no"), ("positive", "negative"), ("good", "bad"), ("better", "worse"), ("polite", "rude")]
OPPOSITES += [("liked", "disliked"), ("satisfied", "dissatisfied"), ("happy", "unhappy"), ("fair", "unfair")]
NEGATIONS = ["not"], ["no"], ["never"]
"""Words before an answer that make it another, such as its opposite."""


def explain(
    encoder: Any,
    texts: Sequence[str],
    embeddings: np.ndarray,
    assignments: np.ndarray,
    answers: Sequence[str | None] | None = None,
) -> list[Explanation]:
    """Say what each cluster is: by its answers, by its texts' own words, and by its mean read back as words.

    What the mean is read as counts only where an answer or a text of the cluster has the word, too.

    Args:
        encoder: anything with `encode`.
        texts: n strings.
        embeddings: (n, d), as encoded, not normalized.
        assignments: (n,) integers, 0 to k - 1, or `NOISE`.
        answers: n answers to the question, None for a text that was not asked; None if the encoder answers nothing.
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
            given[assignments[i]][" ".join(_whole_words(answers[i]))] += 1
    held = [set(" ".join(of_cluster).split()) for of_cluster in given]
    for i in {*read.tolist(), *said}:
        if assignments[i] != NOISE:
            held[assignments[i]].update(_whole_words(texts[i]))
    decoded = [
        [word for word in found if word.casefold() in supported]
        for found, supported in zip(decoded_words(encoder, embeddings, assignments), held, strict=True)
    ]
    typical, borderline = nearest_and_farthest(texts, embeddings, assignments)
    unclear = list(map(contradicts_itself, given))
    names = distinct_names(words, text_words, decoded, unclear)
    return list(map(Explanation, names, words, decoded, typical, borderline, text_words))


def _whole_words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _answer_and_words(answer: str) -> set[str]:
    """What an answer counts for: the whole of it, and its words, unless they are negated."""
    words = _whole_words(answer)
    return {" ".join(words), *(words if words[:1] not in NEGATIONS else [])} - {""}


OF_TEXTS = {"binary": True, "token_pattern": r"(?u)\b[^\W\d_]\w+\b", "stop_words": "english"}
OF_ANSWERS = {"analyzer": _answer_and_words}


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


def contradicts_itself(answers: Counter[str]) -> bool:
    """Whether the opposite of a cluster's most frequent answer is given nearly as often."""
    most, least = max(answers.values(), default=0), LEAST_SHARE * answers.total()
    often = [answer for answer, times in answers.items() if times >= max(CONTRADICTED_SHARE * most, least)]
    pairs = [pair for pair in combinations(often, 2) if most in (answers[pair[0]], answers[pair[1]])]
    return any(_are_opposite(*pair) for pair in pairs)


def _are_opposite(one: str, other: str) -> bool:
    """Whether one answer negates the other ("urgent", "not urgent"), or they are among `OPPOSITES`."""
    short, long = sorted([one, other], key=len)
    negated = {" ".join([*negation, short]) for negation in NEGATIONS}
    return long in negated or not {(one, other), (other, one)}.isdisjoint(OPPOSITES)


def distinct_names(
    words: Sequence[dict[str, float]],
    text_words: Sequence[dict[str, float]],
    decoded: Sequence[list[str]],
    unclear: Sequence[bool],
) -> list[str]:
    """Name each cluster after its most distinctive words, no two alike.

    The first word of a cluster's answers is its name; if no answer is a mark of the cluster, or only few of its answers
    agree, that of its texts. A second is added if the first is in less than half of the answers (`SHARE_FOR_A_NAME`),
    or is the first word of another cluster too: one that texts or mean have as well, if there is. Where the answers
    contradict each other, the first is "unclear". Where there are no words, the third is "cluster 3"; a name that would
    come twice has a number behind it.
    """
    ranked = [
        ["unclear"] * is_unclear + _ranked(*about)
        for *about, is_unclear in zip(words, text_words, decoded, unclear, strict=True)
    ]
    firsts = [candidates[0] if candidates else "" for candidates in ranked]
    names: list[str] = []
    for c, candidates in enumerate(ranked):
        short = words[c].get(firsts[c], 0) >= SHARE_FOR_A_NAME and firsts.count(firsts[c]) == 1
        tries = [firsts[c]] if short else [", ".join([firsts[c], other]) for other in candidates[1:]]
        tries = [*tries, firsts[c]] if firsts[c] else [f"cluster {c + 1}"]
        numbered = (f"{tries[-1]} ({i})" for i in count(2))
        names.append(next(name for name in chain(tries, numbered) if name not in names))
    return names


def _ranked(answered: dict[str, float], own: dict[str, float], read: list[str]) -> list[str]:
    """Words to name a cluster with, best first; of "tax" and "taxes", "slow" and "slow service" only the better one.

    Words of the texts come first where no answer is frequent. A word gives way to the whole answer that most of its
    answers are.
    """
    read = list(map(str.casefold, read))
    frequent = [word for word, share in answered.items() if share >= LEAST_SHARE]
    seconded = [word for word in frequent if word in own or word in read]
    few_agree = not frequent or answered[frequent[0]] < min(SHARE_TO_LEAD, next(iter(own.values()), 0))
    best = [*own, *frequent, *read] if few_agree else [*frequent[:1], *seconded, *frequent]
    kept: list[str] = []
    for word in dict.fromkeys(best):
        longer = (said for said in frequent if said != word and word in _answer_and_words(said))
        word = next((said for said in longer if answered[said] >= WHOLE_SHARE * answered.get(word, 1)), word)
        if not any(_same_stem(word, other) for other in kept):
            kept.append(word)
    return kept


def _same_stem(one: str, other: str) -> bool:
    short, long = sorted([one, other], key=len)
    return len(short) > 2 and any(part.startswith(short) for part in [long, *long.split()])
