import numpy as np
import pytest

from inbedder_utils.datasets import QUESTIONS, corpus, small_set
from inbedder_utils.evaluation import small_world_scores, triplet_success


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


def test_tiny_follows_the_question_in_its_small_world(tiny_encoder):
    for row in small_world_scores(tiny_encoder.encode, n=40, wordings="train"):
        assert row["success"] > 0.8, row


def test_tiny_hears_the_question_in_hand_written_texts_as_well(tiny_encoder):
    """More than guessing (0.5) on average, though it has never read such language; blind embedders get about 0.45."""
    success = []
    for domain, labels in QUESTIONS.items():
        assert len(corpus(domain)) >= 150
        for label, question in labels.items():
            triplets = small_set(f"triplets/{domain}_{label}")
            success.append(triplet_success(*(tiny_encoder.encode(triplets[side], question) for side in triplets)))
    assert np.mean(success) > 0.6
