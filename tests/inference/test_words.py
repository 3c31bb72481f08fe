"""Answers in words, and vectors read back as words."""

import warnings

import numpy as np
import pytest
import torch
from small_models import ASK, TEXTS

from inbedder_utils.inference.batching import pad
from inbedder_utils.inference.words import best_words, greedy_answers, last_layer_states


def test_states_that_no_head_can_read_are_refused():
    assert last_layer_states([[1, 2], [3, 4]], 2).dtype == torch.float32
    with pytest.raises(TypeError, match="embeddings must be numbers"):
        last_layer_states([["a", "b"]], 2)
    with pytest.raises(ValueError, match=r"must be \(n, 3\), the width of the last layer; got \(2, 2\)"):
        last_layer_states(np.eye(2), 3)
    with pytest.raises(ValueError, match="NaN or infinite"):
        last_layer_states([[1, np.nan]], 2)


def test_states_may_be_of_an_array_that_is_for_reading_only():
    vectors = np.eye(2, dtype=np.float32)
    vectors.flags.writeable = False
    with warnings.catch_warnings(action="error"):
        assert last_layer_states(vectors, 2).tolist() == [[1, 0], [0, 1]]


def test_words_come_best_first_without_markup_or_repetition(encoder_of):
    tokenizer = encoder_of("bert").tokenizer
    wanted = ["kettle", "[MASK]", ".", "##k", "k", "tea"]  # k continues a word here, and is one there
    logits = torch.full((1, len(tokenizer)), -9.0)
    logits[0, tokenizer.convert_tokens_to_ids(wanted)] = torch.arange(len(wanted), 0, -1.0)
    (words,) = best_words(logits, tokenizer, 3)
    expected = logits[0].softmax(0)[tokenizer.convert_tokens_to_ids(["kettle", "##k", "tea"])]
    assert list(words) == ["kettle", "k", "tea"]
    assert list(words.values()) == pytest.approx(expected.tolist(), rel=1e-4)


def test_words_too_unlikely_for_a_number_are_still_in_order(encoder_of):
    tokenizer = encoder_of("bert").tokenizer
    logits = torch.full((1, len(tokenizer)), -999.0)
    logits[0, tokenizer.convert_tokens_to_ids(["tea", "kettle", "k"])] = torch.tensor([900.0, 300.0, 200.0])
    assert best_words(logits, tokenizer, 3) == [{"tea": 1.0, "kettle": 0.0, "k": 0.0}]


@pytest.mark.parametrize(("name", "side"), [("llama", "left"), ("t5", "right")])
def test_only_new_tokens_come_back_and_sampling_in_the_models_settings_is_ignored(encoder_of, name, side, monkeypatch):
    encoder = encoder_of(name)
    prompts = encoder.prompt_tokenizer(TEXTS[:2], [ASK] * 2)
    ids, mask = pad(prompts, encoder.reader.pad_id, side=side, device=encoder.lm.device)
    own, settings = encoder.lm.generation_config, {"max_new_tokens": 3, "pad_id": encoder.reader.pad_id}
    expected = greedy_answers(encoder.lm, ids, mask, **settings)
    assert expected.shape[0] == 2 and 1 <= expected.shape[1] <= 3
    monkeypatch.setattr(own, "do_sample", True)
    monkeypatch.setattr(own, "temperature", 50.0)
    assert torch.equal(greedy_answers(encoder.lm, ids, mask, **settings), expected)
    assert encoder.lm.generation_config is own
