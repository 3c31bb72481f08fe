import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from test_asking import Given, Words, about, blobs, numbered

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.result import Clustering

BETWEEN = "sea rail"


@pytest.fixture(scope="module")
def sorted_():
    texts = pd.Series([*about("sea", "rail", "food"), BETWEEN, "cloud star"], index=range(50, 88))
    return ask(Words(), texts, "Which?", options=["sea", "rail", "food"])


def test_memberships_are_shares_and_greatest_where_a_text_belongs(sorted_):
    assert sorted_.memberships.shape == (38, 3) and sorted_.memberships.sum(axis=1) == pytest.approx(1)
    inside = sorted_.assignments >= 0
    assert np.array_equal(sorted_.memberships.argmax(axis=1)[inside], sorted_.assignments[inside])


def test_of_mixed_texts_the_most_evenly_divided_come_first_and_others_are_left_out(sorted_):
    mixed = sorted_.mixed()
    assert mixed["text"].tolist() == [BETWEEN] and mixed.index.tolist() == [86]
    assert {mixed["first"].item(), mixed["second"].item()} == {"sea", "rail"}
    everything = sorted_.mixed(0)
    assert len(everything) == 37 and "cloud star" not in everything["text"].tolist()
    assert everything["second_share"].is_monotonic_decreasing and everything.index[0] == 86
    assert (everything["first_share"] >= everything["second_share"]).all()
    assert sorted_.mixed(0.51).empty


def test_texts_of_a_single_cluster_are_not_mixed_and_the_table_has_its_columns(sorted_):
    one = ask(Words(), about("sea"), "Which?", 1)
    for result in (one, ask(Given(blobs(20, 20)), numbered(40), "Which?", 2)):
        assert result.mixed().empty and result.mixed().columns.tolist() == sorted_.mixed().columns.tolist()
    assert one.memberships.tolist() == [[1]] * 12


def test_texts_in_no_cluster_are_not_mixed():
    vectors = np.vstack([blobs(20, 20), np.eye(8)[:1] + np.eye(8)[1:2]])
    result = ask(Given(vectors), numbered(41), "Which?", estimator=DBSCAN(0.5))
    assert result.assignments[-1] == -1 and result.memberships[-1].min() > 0.2
    assert result.options is None and result.names_and_outside == [*result.names, "(no cluster)"]
    assert result.mixed().empty


def test_a_clustering_needs_no_encoder_to_be_looked_at(sorted_, tmp_path):
    loaded = Clustering.load(sorted_.save(tmp_path))
    assert loaded.encoder is None and np.array_equal(loaded.memberships, sorted_.memberships)
    pd.testing.assert_frame_equal(loaded.mixed(), sorted_.mixed())


def test_a_copy_has_everything_but_the_encoder(felt):
    copied = pickle.loads(pickle.dumps(felt))
    assert felt.encoder is not None and copied.encoder is None
    assert copied.to_frame().equals(felt.to_frame()) and len(pickle.dumps(felt)) < 2_000_000


def test_texts_that_may_say_two_things_say_that_of_their_own_cluster_first(felt):
    merged = felt.merge(2)
    mixed = merged.mixed(0.0)
    assert len(mixed) == len(felt.texts)
    assert mixed["first"].tolist() == merged.to_frame()["name"][mixed.index].tolist()
    assert (mixed["first"] != mixed["second"]).all()
