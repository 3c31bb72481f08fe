import numpy as np
import pytest
from sklearn.preprocessing import normalize
from test_asking import blobs

from inbedder_utils.clustering.anchors import Anchors, anchors_of_clusters, memberships
from inbedder_utils.clustering.partition import NOISE

GROUPS = np.repeat([0, 1, 2], 300)


def drawn(seed, *centres):
    places = np.eye(8)[np.repeat(centres, 300)]
    return places + np.random.default_rng(seed).normal(scale=0.2, size=places.shape)


def test_memberships_are_those_of_fuzzy_c_means():
    squared = np.random.default_rng(0).uniform(0.1, 2, size=(20, 4))
    shares = memberships(1 - squared / 2)
    m = 1.2
    expected = 1 / ((squared[:, :, None] / squared[:, None]) ** (1 / (m - 1))).sum(axis=2)
    assert shares == pytest.approx(expected) and shares.sum(axis=1) == pytest.approx(np.ones(20))


def test_memberships_where_an_anchor_is_met_are_whole_or_shared():
    shares = memberships(np.array([[1, 0.5, 0], [1, 1, 0], [0.3, 0.3, 0.3]]))
    assert shares == pytest.approx(np.array([[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]), abs=1e-9)
    assert memberships(np.array([[0.2], [-1]])).tolist() == [[1], [1]]


def test_a_cluster_lies_at_the_mean_of_its_directions():
    vectors = drawn(0, 0, 1, 2)
    anchors = anchors_of_clusters(vectors, GROUPS)
    assert anchors.centres[1] == pytest.approx(normalize(vectors)[GROUPS == 1].mean(axis=0))
    longer = anchors_of_clusters(7 * vectors, GROUPS)
    assert longer.centres == pytest.approx(anchors.centres) and longer.least == pytest.approx(anchors.least)
    similarities = anchors.similarities(vectors)
    assert similarities[5, 2] == pytest.approx(1 - ((normalize(vectors)[5] - anchors.centres[2]) ** 2).sum() / 2)
    assert similarities.max() <= 1 and similarities.shape == (900, 3)


def test_of_other_texts_like_its_own_a_cluster_takes_all_but_about_one_in_a_hundred():
    anchors = anchors_of_clusters(drawn(0, 0, 1, 2), GROUPS)
    found = anchors.nearest(anchors.similarities(drawn(1, 0, 1, 2)))
    assert 0 < (found == NOISE).mean() < 0.03 and (found == GROUPS).mean() > 0.9
    elsewhere = anchors.nearest(anchors.similarities(-drawn(2, 0)))
    assert (elsewhere == NOISE).mean() > 0.9


def test_a_small_cluster_takes_other_texts_like_its_own():
    places, groups = np.repeat(np.eye(100)[:20], 5, axis=0), np.repeat(np.arange(20), 5)
    first, other = (places + np.random.default_rng(seed).normal(scale=0.05, size=places.shape) for seed in (0, 1))
    anchors = anchors_of_clusters(first, groups)
    assert (anchors.nearest(anchors.similarities(other)) == groups).mean() > 0.9


def test_texts_in_no_cluster_move_no_anchor():
    vectors = blobs(20, 20, 5)
    groups = np.repeat([0, 1, NOISE], [20, 20, 5])
    found, without = anchors_of_clusters(vectors, groups), anchors_of_clusters(vectors[:40], groups[:40])
    assert np.array_equal(found.centres, without.centres) and found.least == without.least


def test_clusters_of_one_text_each_leave_nothing_out():
    anchors = anchors_of_clusters(np.eye(4), np.arange(4))
    assert anchors.nearest(anchors.similarities(np.vstack([np.eye(4), -np.eye(4)])))[:4].tolist() == [0, 1, 2, 3]
    assert NOISE not in anchors.nearest(anchors.similarities(-np.eye(4)))


def test_a_text_that_repeats_is_near_itself_however_its_vector_is_rounded():
    rng = np.random.default_rng(0)
    vectors, groups = np.repeat(rng.normal(size=(3, 384)), 9, axis=0), np.repeat([0, 1, 2], 9)
    anchors = anchors_of_clusters(vectors, groups)
    rounded = normalize(vectors) + rng.normal(scale=1e-5, size=vectors.shape)
    assert np.array_equal(anchors.nearest(anchors.similarities(rounded)), groups)


def test_similarity_is_the_cosine_seen_from_the_origin():
    origin, centres = np.full(3, 0.1), normalize(np.array([[1.0, -1, 0], [0, 1, 1]]))
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    anchors = Anchors(origin, centres, least=0.4)
    cosines = normalize(normalize(vectors) - origin) @ centres.T
    assert anchors.similarities(vectors) == pytest.approx(cosines)
    assert anchors.nearest(np.array([[0.5, 0.3], [0.1, 0.4], [0.3, 0.39]])).tolist() == [0, 1, NOISE]
