import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, HDBSCAN
from test_asking import TOPICS, Given, Words, about, blobs, numbered

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.levels import Branch

LEFT_OUT = DBSCAN(1e-3, min_samples=99)


@pytest.fixture(scope="module")
def found():
    """Four clusters, of which the first two lie near each other, as do the last two."""
    vectors = blobs(24, 18, 12, 6)
    vectors[:42, 4] += 1
    vectors[42:, 5] += 1
    rows = pd.Series(numbered(60), index=range(100, 160))
    return ask(Given(vectors), rows, "Which?", 4, labels=["a", "b"] * 21 + [None] * 18)


@pytest.fixture(scope="module")
def sorted_():
    return ask(Words(), about("sea", "rail", n=20), "Which?", options=["sea", "rail", "qqq"])


@pytest.mark.parametrize("which", ["number", "numpy", "name"])
def test_a_cluster_is_split_into_clusters_of_its_texts_alone(found, which):
    cluster = {"number": 1, "numpy": np.int64(1), "name": found.names[1]}[which]
    part = found.split(cluster, 3)
    members = np.flatnonzero(found.assignments == 1)
    assert len(part) == 3 and part.sizes.sum() == 18 and part.texts == [found.texts[i] for i in members]
    assert np.array_equal(part.embeddings, found.embeddings[members])
    assert part.to_frame().index.tolist() == (members + 100).tolist() and part.labels == ["a", "b"] * 9
    assert all(0 <= i < 18 for e in part.explanations for i in e.typical + e.borderline)
    assert part.memberships.shape == (18, 3) and part.instruction == found.instruction


def test_the_number_of_parts_is_chosen_as_that_of_clusters(found):
    part = found.split(0)
    assert part.curve.index.tolist() == [*range(2, 13)] and len(part) in part.curve.index
    assert found.split(0, "about 4").curve.index.tolist() == [3, 4, 5]
    assert np.array_equal(found.split(0).assignments, part.assignments)


def test_parts_have_no_labels_where_their_texts_have_none(found):
    part = found.split(2, 2)
    assert part.labels is None and part.quality.keys() == {"silhouette"}


def test_the_texts_of_an_option_are_split_into_clusters(sorted_):
    part = sorted_.split("rail", 2)
    assert part.options is None and len(part) == 2 and part.texts == sorted_.texts[20:]
    assert part.names_and_outside[-1] == "(no cluster)" and part.notes == []
    assert part.assign(part.texts)["cluster"].tolist() == part.assignments.tolist()


def test_a_cluster_of_one_text_stays_one():
    result = ask(Words(), [*["sea boat"] * 12, "train"], "Which?", 2)
    part = result.split(1)
    assert len(part) == 1 and part.notes == ["one cluster: with so few texts there is no number of clusters to choose"]
    with pytest.raises(ValueError, match="2 clusters cannot be made of 1 texts"):
        result.split(1, 2)


@pytest.mark.parametrize(
    ("cluster", "error", "message"),
    [
        (4, ValueError, "there is no cluster 4: expected one of 0 '"),
        (-1, ValueError, "cluster must be 0 or more, got -1"),
        ("nowhere", ValueError, "there is no cluster 'nowhere': expected one of 0 '"),
        (1.0, TypeError, "cluster must be an integer, got 1.0"),
        (None, TypeError, "cluster must be an integer, got None"),
    ],
)
def test_what_is_no_cluster_cannot_be_split(found, cluster, error, message):
    with pytest.raises(error, match=message):
        found.split(cluster)


@pytest.mark.parametrize("option", ["qqq", 2])
def test_an_option_without_texts_cannot_be_split(sorted_, option):
    with pytest.raises(ValueError, match="there are no texts in 'qqq': choose another of 0 'sea', 1 'rail', 2 'qqq'"):
        sorted_.split(option)


def test_clusters_that_lie_near_each_other_are_merged_whole(found):
    two = found.merge(2)
    assert two.sizes.tolist() == [42, 18]
    assert two.assignments.tolist() == (found.assignments >= 2).astype(int).tolist()
    assert two.texts == found.texts and two.to_frame().index.equals(found.to_frame().index)
    assert two.curve is two.stability is None and len(found) == 4
    assert pd.crosstab(found.assignments, found.merge(3).assignments).gt(0).sum(axis=1).tolist() == [1] * 4
    assert found.merge(1).sizes.tolist() == [60] and found.merge(3).merge(2).sizes.tolist() == [42, 18]


@pytest.mark.parametrize(
    ("n_clusters", "error", "message"),
    [
        (4, ValueError, "n_clusters must be 1 to 3, got 4; merge to fewer than there are"),
        (0, ValueError, "n_clusters must be 1 to 3, got 0"),
        ("2", TypeError, "n_clusters must be an integer, got '2'"),
    ],
)
def test_clusters_are_merged_to_fewer(found, n_clusters, error, message):
    with pytest.raises(error, match=message):
        found.merge(n_clusters)


def leaves(branch: Branch) -> list[Branch]:
    return [below for _, below in branch.walk() if not below.parts]


@pytest.mark.parametrize("k", [1, 2, 4, 7])
def test_a_tree_has_the_clusters_as_leaves_and_branches_of_two_parts(k):
    sizes = [16, 14, 12, 10, 8, 6, 4][:k]
    result = ask(Given(blobs(*sizes)), numbered(sum(sizes)), "Which?", k)
    root = result.tree()
    assert sorted(leaf.clusters for leaf in leaves(root)) == [[c] for c in range(k)]
    assert {leaf.clusters[0]: (leaf.name, leaf.size) for leaf in leaves(root)} == dict(
        enumerate(zip(result.names, sizes, strict=True))
    )
    inner = [branch for _, branch in root.walk() if branch.parts]
    assert len(inner) == k - 1
    for branch in inner:
        larger, smaller = branch.parts
        assert larger.size >= smaller.size and branch.size == larger.size + smaller.size
        assert branch.clusters == sorted(larger.clusters + smaller.clusters)
    assert root.size == sum(sizes) and (root.name == "all texts" if k > 1 else root.name == result.names[0])


def test_a_tree_is_read_from_top_to_bottom(found):
    root = found.tree()
    assert [part.clusters for part in root.parts] == [[0, 1], [2, 3]]
    first, second, third, *_ = repr(root).splitlines()
    assert first == "all texts  60" and second == f"  {root.parts[0].name}  42"
    assert third == f"    {found.names[0]}  24" and len(repr(root).splitlines()) == 7
    assert root.parts[0].name == found.merge(2).names[0]


def test_texts_in_no_cluster_stay_in_none_at_every_level():
    vectors = np.vstack([blobs(20, 15, 10), -np.ones((2, 8))])
    result = ask(Given(vectors), numbered(47), "Which?", estimator=HDBSCAN(8, copy=True))
    assert len(result) == 3
    assert result.merge(2).assignments[-2:].tolist() == [-1, -1] and result.merge(1).sizes.tolist() == [45]
    assert result.tree().size == 45 and result.split(1, 2).sizes.sum() == 15


def test_of_one_cluster_none_or_options_nothing_is_merged(sorted_):
    one, none = (ask(Words(), about("sea"), "Which?", **how) for how in ({"n_clusters": 1}, {"estimator": LEFT_OUT}))
    for result, count in ((one, 1), (none, 0)):
        with pytest.raises(ValueError, match=f"there are no two clusters to merge, but {count}"):
            result.merge(1)
    with pytest.raises(ValueError, match="there is no cluster 0: expected one of none"):
        none.split(0)
    for result in (none, sorted_):
        with pytest.raises(ValueError, match="a tree is made of clusters that were found"):
            result.tree()
    with pytest.raises(ValueError, match="these are your own options: ask again with fewer of them"):
        sorted_.merge(1)


def test_what_lies_together_in_meaning_is_merged_first(felt):
    feeling = felt.to_frame().groupby("cluster")["label"].agg(lambda labels: labels.mode()[0])
    four = felt.merge(4)
    together = [set(feeling[felt.assignments[four.assignments == c]]) for c in range(4)]
    assert {"angry", "disappointed"} in together


def test_words_say_what_the_merged_have_in_common():
    result = ask(Words(), about(*TOPICS), "Which?", 4)
    assert sorted(result.names) == sorted(TOPICS)
    merged = result.merge(3)
    assert [name for name in merged.names if name in TOPICS] and len(set(merged.names)) == 3
