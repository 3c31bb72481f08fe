"""The published numbers give the paper's tables."""

import math

import pytest

from inbedder_utils.paper import (
    published_clusters,
    published_models,
    published_reviews,
    published_robustness,
    published_scores,
    robustness_gaps,
)
from inbedder_utils.paper.published import AS_PUBLISHED
from inbedder_utils.registry import REGISTRY


def test_every_published_model_is_described_once():
    models = published_models()
    assert models["model"].is_unique
    assert set(models["model"]) == set(published_scores()["model"]) | set(published_robustness()["model"])
    known = {names[0]: REGISTRY[name].parameters / 1e6 for name, names in AS_PUBLISHED.items()}
    listed = models.set_index("model")["parameters"].loc[list(known)]
    assert listed.to_dict() == pytest.approx(known, abs=0.1)


def test_the_paper_s_gaps_come_from_the_extremes_and_ours_from_the_means():
    rows = published_robustness().query("model == 'Llama-2-7b-hf-qa-ml=20' and pooling == 'fst_gen'")
    assert rows.groupby(["task", "kind"]).size().eq(10).all()
    gaps = robustness_gaps(rows).loc[("Llama-2-7b-hf-qa-ml=20", "fst_gen", "NYTClustering", "topic")]
    topic = rows[rows["task"] == "NYTClustering"].groupby("kind")["score"].agg(sorted)
    for kind in ("correct", "implicit"):
        assert gaps[kind] == pytest.approx(topic[kind][0] - topic["incorrect"][-1])
        assert gaps[f"{kind} mean"] == pytest.approx((sum(topic[kind]) - sum(topic["incorrect"])) / 10)


def test_entropies_of_clusters_are_those_of_their_labels():
    clusters = published_clusters()
    assert clusters.groupby("corpus").size().to_dict() == {
        "ratemyprof-aspect": 4,
        "feedback-reason": 3,
        "event-type": 34,
        "entity-type": 58,
        "relation-type": 64,
    }
    for row in clusters.itertuples():
        total = sum(row.labels.values())
        shares = [count / total for count in row.labels.values()]
        assert row.entropy == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-5)
        assert len(row.words_tfidf) == len(row.words_decoded) == 20


def test_each_question_puts_every_review_into_one_cluster():
    reviews = published_reviews()
    assert reviews.groupby("question", sort=False).size().to_dict() == {
        "product": 5,
        "aspect": 5,
        "liking": 3,
        "detail": 3,
    }
    for _, rows in reviews.groupby("question"):
        assert sorted(rows["texts"].explode()) == list(range(1000))
        assert rows["instruction"].nunique() == 1
