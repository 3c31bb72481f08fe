import sys

import numpy as np
import pytest
from test_asking import blobs

from inbedder_utils.clustering.projection import project

GROUPS = np.repeat([0, 1, 2], 20)


@pytest.mark.parametrize("map_method", ["tsne", "pca"])
def test_a_map_keeps_clusters_together(map_method):
    vectors = blobs(20, 20, 20)
    places = project(vectors, map_method)
    assert places.shape == (60, 2) and places.dtype == np.float32
    assert np.array_equal(places, project(vectors, map_method))
    centres = np.stack([places[GROUPS == c].mean(axis=0) for c in range(3)])
    nearest = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == GROUPS).mean() > 0.9


def test_the_length_of_embeddings_plays_no_part():
    vectors = blobs(20, 20, 20)
    longer = vectors * np.random.default_rng(0).uniform(1, 9, size=(60, 1))
    assert project(longer, "pca") == pytest.approx(project(vectors, "pca"), abs=1e-5)


@pytest.mark.parametrize("map_method", ["tsne", "pca", "umap"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_texts_are_placed_by_pca(map_method, n):
    if map_method == "umap":
        pytest.importorskip("umap")
    vectors = np.random.default_rng(0).normal(size=(n, 8))
    places = project(vectors, map_method)
    assert places.shape == (n, 2) and np.isfinite(places).all()
    assert np.array_equal(places, project(vectors, "pca"))
    assert len(np.unique(places.round(4), axis=0)) == n


@pytest.mark.parametrize("map_method", ["tsne", "pca"])
def test_equal_embeddings_are_placed_at_one_point(map_method):
    assert project(np.ones((9, 8)), map_method).tolist() == [[0, 0]] * 9
    assert np.isfinite(project(np.repeat(np.eye(8)[:2], 9, axis=0), map_method)).all()


def test_embeddings_of_one_number_are_placed_on_a_line():
    places = project(np.array([[1.0], [-2], [3], [-4], [5]]), "pca")
    assert places.shape == (5, 2) and (places[:, 1] == 0).all() and len(np.unique(places[:, 0].round(4))) == 2


def test_an_unknown_or_missing_method_is_named(monkeypatch):
    with pytest.raises(ValueError, match="unknown map_method 'tsn'.*did you mean 'tsne'"):
        project(np.eye(8), "tsn")
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="for a map by UMAP: pip install umap-learn; or use 'tsne' or 'pca'"):
        project(np.eye(3), "umap")
