"""The second loss: an embedding among those of all answers is like that of its own."""

import torch

from inbedder_utils.training.losses import answer_vectors, imitation_loss

APART = torch.arange(6)  # each question is about a text of its own


def test_answers_are_embedded_as_the_mean_of_their_states_alone_or_in_company(encoder_of):
    encoder = encoder_of("bert")
    answers = ["kettle", "very happy", "late", "kettle", "angry late box lid"]
    vectors = answer_vectors(encoder.lm, encoder.tokenizer, answers)
    assert vectors.shape == (5, 32) and vectors[0].equal(vectors[3])
    for answer, vector in zip(answers, vectors, strict=True):
        with torch.inference_mode():
            states = encoder.lm.base_model(**encoder.tokenizer(answer, return_tensors="pt")).last_hidden_state
        torch.testing.assert_close(vector, states[0].mean(0), rtol=1e-4, atol=1e-4)


def test_the_nearer_to_its_own_answer_the_smaller_the_loss():
    torch.manual_seed(0)
    targets = torch.randn(6, 16)
    own, other = (t.repeat_interleave(3, 0) for t in (targets, targets.roll(1, 0)))  # three masks each
    noise = torch.randn(18, 16)
    losses = [imitation_loss(states, targets, APART).item() for states in (own, own + noise, other)]
    assert losses[0] < losses[1] < losses[2]


def test_only_directions_count_and_equal_answers_are_no_mistake():
    torch.manual_seed(0)
    targets = torch.randn(4, 8)[[0, 0, 1, 2]]
    states = torch.randn(8, 8)
    loss = imitation_loss(states, targets, APART[:4])
    torch.testing.assert_close(imitation_loss(states * 7, targets * 3, APART[:4]), loss)
    swapped = states.view(4, 2, 8)[[1, 0, 2, 3]].reshape(8, 8)
    torch.testing.assert_close(imitation_loss(swapped, targets, APART[:4]), loss)


def test_embeddings_that_keep_much_of_their_text_cost_more():
    torch.manual_seed(0)
    answers, texts = torch.eye(20)[[0, 0, 1, 1, 2, 2]], torch.eye(20)[[8, 9, 10, 8, 9, 10]]
    losses = [imitation_loss(answers + kept * texts, answers, APART).item() for kept in (0.0, 0.5, 1.5)]
    assert losses[0] < losses[1] < losses[2]


def test_a_text_asked_twice_is_not_compared_with_itself():
    answers, texts = torch.eye(20)[[0, 0, 1, 0]], torch.eye(20)[[8, 8, 9, 9]]
    of_two_texts = torch.tensor([0, 0, 1, 1])
    losses = [imitation_loss(answers + 2 * texts, answers, which).item() for which in (of_two_texts, APART[:4])]
    assert losses[0] != losses[1]
    assert imitation_loss(torch.randn(6, 8), torch.randn(2, 8), torch.zeros(2)).isfinite()
