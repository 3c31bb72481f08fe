"""Finer and coarser levels of a clustering: a cluster in parts, clusters together, and the tree of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import AgglomerativeClustering

from inbedder_utils.checks import integer, short
from inbedder_utils.clustering.explain import explain
from inbedder_utils.clustering.partition import NOISE, by_size, numbers_to_try, partition

if TYPE_CHECKING:
    from inbedder_utils.clustering.result import Clustering


SHOWN_AS_TREE = range(3, 13)
"""Numbers of clusters whose tree is shown unasked: of fewer it says nothing new, of more it takes long."""


@dataclass(frozen=True, repr=False)
class Branch:
    """A cluster, or several that are nearer to each other than to the rest.

    Attributes:
        name: by what sets it apart from the other branches there are at its level.
        size: number of texts.
        clusters: numbers of its clusters.
        parts: the two branches that it divides into; none if it is a single cluster.
    """

    name: str
    size: int
    clusters: list[int]
    parts: list[Branch] = field(default_factory=list)

    def __repr__(self) -> str:
        return "\n".join(f"{'  ' * depth}{branch.name}  {branch.size:,}" for depth, branch in self.walk())

    def walk(self, depth: int = 0) -> list[tuple[int, Branch]]:
        """This branch and all below it, each with its depth, as they are read from top to bottom."""
        return [(depth, self), *(below for part in self.parts for below in part.walk(depth + 1))]


def split(result: Clustering, cluster: int | str, n_clusters: int | str | None = None) -> Clustering:
    """See `Clustering.split`."""
    members = np.flatnonzero(result.assignments == _number(result, cluster))
    texts, embeddings = _chosen(result.texts, members), result.embeddings[members]
    answers, labels = (None if given is None else _chosen(given, members) for given in (result.answers, result.labels))
    if labels is not None and not any(label is not None for label in labels):
        labels = None  # none to judge these texts by
    numbers = numbers_to_try(len(members), n_clusters)
    assignments, curve, notes, stability = partition(texts, embeddings, numbers, None, result.seed)
    return replace(
        result,
        texts=texts,
        embeddings=embeddings,
        answers=answers,
        labels=labels,
        assignments=assignments,
        explanations=explain(result.encoder, texts, embeddings, assignments, answers),
        curve=curve,
        notes=notes,
        stability=stability,
        index=None if result.index is None else result.index[members],
        option_anchors=None,
    )


def _number(result: Clustering, cluster: int | str) -> int:
    known = ", ".join(f"{i} {name!r}" for i, name in enumerate(result.names)) or "none"
    if isinstance(cluster, str):
        if cluster not in result.names:
            raise ValueError(f"there is no cluster {short(cluster)}: expected one of {known}")
        cluster = result.names.index(cluster)
    if integer("cluster", cluster, at_least=0) >= len(result):
        raise ValueError(f"there is no cluster {cluster}: expected one of {known}")
    if not result.sizes[cluster]:
        raise ValueError(f"there are no texts in {result.names[cluster]!r}: choose another of {known}")
    return cluster


def _chosen(values: Sequence, members: np.ndarray) -> list:
    return [values[i] for i in members]


def merge(result: Clustering, n_clusters: int) -> Clustering:
    """See `Clustering.merge`."""
    if result.options is not None:
        raise ValueError("these are your own options: ask again with fewer of them")
    if len(result) < 2:
        raise ValueError(f"there are no two clusters to merge, but {len(result)}")
    integer("n_clusters", n_clusters, at_least=1, at_most=len(result) - 1, fix="merge to fewer than there are")
    groups = AgglomerativeClustering(n_clusters).fit_predict(result.anchors.centres)  # (k,)
    inside = result.assignments != NOISE
    together = np.where(inside, groups[result.assignments], NOISE)
    assignments = by_size(together, len(together), "AgglomerativeClustering")
    explanations = explain(result.encoder, result.texts, result.embeddings, assignments, result.answers)
    return replace(result, assignments=assignments, explanations=explanations, curve=None, notes=[], stability=None)


def shown_levels(result: Clustering) -> list[tuple[int, Branch]]:
    """The branches of the tree as they are read, each with its depth; none for options, few or many clusters."""
    return tree(result).walk() if result.options is None and len(result) in SHOWN_AS_TREE else []


def tree(result: Clustering) -> Branch:
    """See `Clustering.tree`."""
    if result.options is not None or not len(result):
        raise ValueError("a tree is made of clusters that were found: there are none, or these are your own options")
    branches = [Branch(*about, [i]) for i, about in enumerate(zip(result.names, result.sizes.tolist(), strict=True))]
    for n_clusters in range(len(result) - 1, 0, -1):
        merged = merge(result, n_clusters)
        for number, (name, size) in enumerate(zip(merged.names, merged.sizes.tolist(), strict=True)):
            inside = set(result.assignments[merged.assignments == number].tolist())
            parts = [branch for branch in branches if inside.issuperset(branch.clusters)]
            if len(parts) > 1:
                name = "all texts" if n_clusters == 1 else name
                branches = [branch for branch in branches if branch not in parts]
                branches.append(Branch(name, size, sorted(inside), sorted(parts, key=lambda part: -part.size)))
    return branches[0]
