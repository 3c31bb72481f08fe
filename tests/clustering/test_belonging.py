import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from test_asking import Words, about

from inbedder_utils.clustering.asking import ask
from inbedder_utils.evaluation.baselines import TfidfEmbedder

COLUMNS = ["text", "cluster", "name", "similarity", "membership"]


@pytest.fixture(scope="module")
def found():
    return ask(Words(), about("sea", "rail", "food", n=20), "Which?", 3)


@pytest.fixture(scope="module")
def sorted_():
    return ask(Words(), about("sea", "rail", n=20), "Which?", options=["rail", "sea"])


@pytest.fixture(scope="module")
def again(felt):
    return felt.assign(felt.texts)


def test_texts_are_assigned_to_where_they_were_clustered(felt, again):
    assert (again["cluster"] == felt.assignments).mean() >= 0.95 and (again["cluster"] == -1).mean() <= 0.02
    assert again["similarity"].between(-1, 1).all() and again["membership"].between(0.2, 1).all()
    assert again["membership"].to_numpy() == pytest.approx(felt.memberships.max(axis=1), abs=1e-4)
    inside = again["cluster"] >= 0
    assert (again["name"][inside] == [felt.names[c] for c in again["cluster"][inside]]).all()
    assert (again["name"][~inside] == "(no cluster)").all()


def test_texts_about_something_wholly_different_fit_no_cluster(felt):
    wild = ["The mitochondria is the powerhouse of the cell.", "def f(x): return x + 1", "9 8 7 6", "asdf qwer zxcv"]
    assert (felt.assign(wild)["cluster"] == -1).mean() >= 0.5


def test_further_texts_get_the_cluster_of_their_topic(found):
    new = about("food", "sea", n=6, seed=3)
    table = found.assign(new)
    assert table.columns.tolist() == COLUMNS and table["text"].tolist() == new
    assert table["name"].tolist() == ["food"] * 6 + ["sea"] * 6
    assert table["cluster"].tolist() == [found.names.index(name) for name in table["name"]]
    outside = found.assign(["cloud star moon"])
    assert outside["cluster"].tolist() == [-1] and outside["name"].tolist() == ["(no cluster)"]


def test_further_texts_get_their_option_or_other(sorted_):
    table = sorted_.assign(pd.Series(["a boat at sea", "rail and train", "cheese"], index=[7, 3, 7]))
    assert table.index.tolist() == [7, 3, 7] and table["name"].tolist() == ["sea", "rail", "other"]
    assert table["cluster"].tolist() == [1, 0, -1] and table["similarity"].iloc[2] < 0.1
    own = sorted_.assign(sorted_.texts)
    assert own["cluster"].tolist() == sorted_.assignments.tolist()


def test_a_text_is_assigned_alike_whatever_comes_with_it(found):
    new = about("food", "sea", "sky", n=4, seed=5)
    alone = pd.concat([found.assign([text]) for text in new], ignore_index=True)
    pd.testing.assert_frame_equal(found.assign(new), alone)


def test_texts_that_clusters_have_leave_them_as_they_are(found):
    before = found.assignments.copy(), repr(found)
    found.assign(["sea"] * 50)
    assert np.array_equal(found.assignments, before[0]) and repr(found) == before[1]


def test_noise_plays_no_part_and_new_noise_is_in_no_cluster():
    texts = [*about("sea", "rail", n=20), "cheese"]
    result = ask(Words(), texts, "Which?", estimator=DBSCAN(1.0))
    assert len(result) == 2 and result.assignments[-1] == -1
    table = result.assign(["sea boat", "cheese", "rail train"])
    assert table["cluster"].tolist() == [result.assignments[0], -1, result.assignments[20]]
    assert result.memberships.shape == (41, 2) and result.memberships.sum(axis=1) == pytest.approx(1)


def test_a_result_of_few_or_equal_texts_assigns_too():
    for texts in (["sea boat"], ["sea boat"] * 5, ["sea boat", "sea wave"]):
        result = ask(Words(), texts, "Which?")
        table = result.assign(["sea boat", *texts])
        assert (table["cluster"] == 0).all() and (table["membership"] == 1).all()


@pytest.mark.parametrize(
    ("new_texts", "error", "message"),
    [
        ([], ValueError, "new_texts is empty: pass at least one text"),
        (pd.Series([], dtype=object), ValueError, "new_texts is empty"),
        ("a boat", TypeError, "new_texts must be a list, got the str 'a boat'"),
        (["a boat", None], TypeError, r"new_texts\[1\] is None"),
    ],
)
def test_what_are_no_texts_is_refused(found, new_texts, error, message):
    with pytest.raises(error, match=message):
        found.assign(new_texts)


def test_vectors_that_depend_on_the_other_texts_are_refused():
    result = ask(TfidfEmbedder(), about("sea", "rail"), "Which?", 2)
    with pytest.raises(ValueError, match=r"new texts have embeddings of width 2, those of the clusters have \d+: use"):
        result.assign(["sea boat"])


def test_without_a_cluster_texts_belong_to_none():
    none = ask(Words(), about("sea"), "Which?", estimator=DBSCAN(1e-3, min_samples=99))
    for use in (lambda: none.assign(["sea"]), lambda: none.memberships, none.mixed):
        with pytest.raises(ValueError, match="there are no clusters that texts could belong to"):
            use()
