import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from sklearn.preprocessing import normalize
from test_asking import Given, blobs, numbered

from inbedder_utils.clustering import quality
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.quality import against_labels, entropies, entropy, silhouettes

GROUPS = np.repeat([0, 1, -1], [20, 15, 5])


def test_entropy_is_in_bits():
    assert entropy(["a"] * 3) == 0
    assert entropy(["a", "b", "c", "d"]) == 2
    labels = ["a", "b"] * 10 + ["c"] * 20
    result = ask(Given(blobs(20, 20)), numbered(40), "Which?", 2, labels=labels)
    assert sorted(result.entropies) == pytest.approx([0, 1])
    assert result.quality["entropy"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no labels"):
        ask(Given(blobs(20, 20)), numbered(40), "Which?", 2).entropies  # noqa: B018


def test_silhouettes_are_those_of_texts_in_a_cluster_by_cosine():
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    found = silhouettes(vectors, GROUPS, seed=0)
    assert found.index.tolist() == [*range(35)] and found.equals(silhouettes(vectors, GROUPS, seed=1))
    assert found.to_numpy() == pytest.approx(silhouette_samples(normalize(vectors[:35]), GROUPS[:35], metric="cosine"))


def test_of_many_texts_a_sample_is_judged(monkeypatch):
    monkeypatch.setattr(quality, "TEXTS_JUDGED", 10)
    vectors = np.random.default_rng(0).normal(size=(40, 8))
    found = silhouettes(vectors, GROUPS, seed=0)
    assert len(found) == 10 and (GROUPS[found.index] >= 0).all()
    assert not found.index.equals(silhouettes(vectors, GROUPS, seed=1).index)


@pytest.mark.parametrize("groups", [[0] * 6, [-1] * 6, [0, 1, 2, 3, 4, 5], [0, -1, -1, -1, -1, -1], [0, 1] + [-1] * 4])
def test_nothing_can_be_compared_in_one_cluster_or_as_many_as_texts(groups):
    found = silhouettes(np.eye(6), np.array(groups), seed=0)
    assert found.empty and np.isnan(found.mean())


def test_labels_that_are_the_clusters_are_judged_best_and_texts_in_none_as_one_more():
    labels = ["a"] * 20 + ["b"] * 15 + ["c"] * 5
    assert against_labels(labels, GROUPS, entropies(labels, GROUPS, 2)) == pytest.approx(
        {"v_measure": 1, "adjusted_rand": 1, "entropy": 0}
    )
    shuffled = np.random.default_rng(0).permutation(labels).tolist()
    judged = against_labels(shuffled, GROUPS, entropies(shuffled, GROUPS, 2))
    assert judged["v_measure"] < 0.2 and abs(judged["adjusted_rand"]) < 0.2 and judged["entropy"] > 1


def test_texts_without_a_label_are_not_judged():
    labels = ["a"] * 10 + [None] * 10 + ["a", "b"] * 5 + [None] * 10
    known = [i for i, label in enumerate(labels) if label]
    judged = against_labels(labels, GROUPS, entropies(labels, GROUPS, 2))
    alone = [labels[i] for i in known]
    assert judged == against_labels(alone, GROUPS[known], entropies(alone, GROUPS[known], 2))
    assert judged["entropy"] == pytest.approx(0.5)  # ten texts in each cluster, 0 and 1 bit


def test_empty_clusters_weigh_nothing_and_without_any_there_is_no_entropy():
    labels = ["a", "b", "a", "b"]
    mixed = entropies(labels, np.array([1, 1, 2, 2]), 3)
    assert mixed.tolist() == [0, 1, 1] and against_labels(labels, np.array([1, 1, 2, 2]), mixed)["entropy"] == 1
    assert np.isnan(against_labels(labels, np.full(4, -1), entropies(labels, np.full(4, -1), 0))["entropy"])
