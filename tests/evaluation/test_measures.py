import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import v_measure_score

from inbedder_utils.data import QUESTIONS, corpus, small_set
from inbedder_utils.evaluation.measures import linear_probe, pair_correlation, triplet_success, v_measures


def test_success_is_the_share_of_anchors_nearer_to_the_positive():
    anchor = [[1, 0], [1, 0], [1, 0], [0, 0]]
    positive = [[2, 1], [0, 1], [1, 1], [1, 0]]
    negative = [[0, 1], [3, 0], [1, 1], [0, 1]]
    assert triplet_success(anchor, positive, negative) == 0.25  # right, wrong, a tie, no direction


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([[1, 0]], [[1, 0]], [[1, 0], [0, 1]]), "must be of one shape"),
        (([], [], []), "must be of one shape"),
        (([[1, np.nan]], [[1, 0]], [[1, 0]]), "must be finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        triplet_success(*arrays)


def test_tiny_hears_the_question_in_hand_written_texts_as_well(tiny_encoder):
    """More than guessing (0.5) on average, though it has never read such language; blind embedders get about 0.45."""
    success = []
    for domain, labels in QUESTIONS.items():
        assert len(corpus(domain)) >= 150
        for label, question in labels.items():
            triplets = small_set(f"triplets/{domain}_{label}")
            success.append(triplet_success(*(tiny_encoder.encode(triplets[side], question) for side in triplets)))
    assert np.mean(success) > 0.6


def test_pair_correlation_follows_the_order_of_cosines():
    one = np.eye(3)[[0, 0, 0]]
    other = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert pair_correlation(one, other, [3, 2, 1]) == pytest.approx(1)
    assert pair_correlation(one, other, [1, 2, 3]) == pytest.approx(-1)
    assert pair_correlation(one, one, [1, 2, 3]) == 0
    with pytest.raises(ValueError, match=r"scores must be \(3,\), one per pair; got \(2,\)"):
        pair_correlation(one, other, [1, 2])


def test_v_measures_come_once_per_seed_and_by_name():
    rng = np.random.default_rng(0)
    labels = ["a", "b", "c"] * 20
    vectors = np.eye(3)[[0, 1, 2] * 20] + rng.normal(scale=0.01, size=(60, 3))
    found = v_measures(vectors, labels, seeds=3)
    assert {name: values.shape for name, values in found.items()} == {"v_measure": (3,), "v_measure_minibatch": (3,)}
    assert found["v_measure"] == pytest.approx([1, 1, 1])
    assert v_measures(np.ones((60, 3)), labels, seeds=1)["v_measure"] == pytest.approx([0])
    with pytest.raises(ValueError, match="got 59 labels for 60 vectors"):
        v_measures(vectors, labels[1:])
    with pytest.raises(ValueError, match="of 1 kinds: expected 2 kinds or more"):
        v_measures(vectors, ["a"] * 60)


def test_a_probe_reads_what_clusters_do_not_show():
    rng = np.random.default_rng(0)
    shown, hidden = np.array(["a", "b"] * 60), np.array(["x", "x", "y", "y"] * 30)
    vectors = rng.normal(size=(120, 8))
    vectors[:, 0] = 20 * (shown == "a")
    vectors[:, 1] += 6 * (hidden == "x")
    assert v_measures(vectors, hidden, seeds=1)["v_measure"][0] < 0.1
    assert linear_probe(vectors, hidden) > 0.95
    assert 0.3 < linear_probe(vectors[:, 2:], hidden) < 0.7
    some = np.where(np.arange(120) < 30, None, hidden)
    assert linear_probe(vectors, some) == linear_probe(vectors[30:], hidden[30:])


def test_a_probe_needs_labels_to_learn_from():
    with pytest.raises(ValueError, match="labels: got 2, the rarest with 2 vectors; expected 2, with 5 each"):
        linear_probe(np.eye(10), ["a"] * 8 + ["b"] * 2)
    with pytest.raises(ValueError, match="labels: got 1, the rarest with 10 vectors"):
        linear_probe(np.eye(10), ["a"] * 10)


def test_seed_42_clusters_as_the_papers_evaluator():
    """It seeds numpy, and leaves the estimator without a seed; other seeds draw other clusters."""
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(600, 8)), [*"abcdef"] * 100
    np.random.seed(42)  # noqa: NPY002
    clusters = MiniBatchKMeans(6, batch_size=500, n_init="auto").fit(vectors.astype(np.float32)).labels_
    found = v_measures(vectors, labels, seeds=[42, 0])["v_measure_minibatch"]
    assert found[0] == v_measure_score(labels, clusters)
    assert found[1] == v_measures(vectors, labels, seeds=1)["v_measure_minibatch"] != found[0]


@pytest.mark.parametrize("seeds", [[], [-1], "42", ["42"]])
def test_seeds_are_a_number_or_a_list_of_numbers(seeds):
    with pytest.raises((ValueError, TypeError), match="seed"):
        v_measures(np.eye(4), [*"aabb"], seeds=seeds)
