"""Answers chosen among phrases: whole words only."""

import pytest
import torch

from inbedder_utils import load_encoder
from inbedder_utils.inference.phrases import Phrases
from inbedder_utils.prompts import INBEDDER

TEXTS = ["The coughergy syrup tastes of unflavoured chalk.", "Delta Air lost my suitcase.", "", "😡 !!"]


@pytest.fixture(scope="module")
def tokenizer():
    return load_encoder("mini", device="cpu").tokenizer


def scores(tokenizer, *wanted, n_masks=3):
    """Logits (1, masks, V) that speak for some tokens."""
    logits = torch.zeros(1, n_masks, len(tokenizer))
    for mask, words in enumerate(wanted):
        for word, likely in words.items():
            logits[0, mask, tokenizer.convert_tokens_to_ids(word)] = likely
    return logits


def best(tokenizer, known, logits, prompt):
    ids = Phrases(known, tokenizer, 3, INBEDDER).best(logits, [tokenizer(prompt)["input_ids"]])
    return tokenizer.batch_decode(ids, skip_special_tokens=True)[0]


def test_pieces_of_two_answers_are_not_glued(tokenizer):
    logits = scores(tokenizer, {"cough": 9, "energy": 8}, {"##ergy": 9, "[SEP]": 8}, {"[SEP]": 9})
    assert best(tokenizer, ["cough", "energy"], logits, "a text") == "cough"


def test_words_of_the_prompt_are_answers_too(tokenizer):
    logits = scores(tokenizer, {"delta": 9, "airline": 7}, {"air": 9, "[SEP]": 5}, {"[SEP]": 9})
    assert best(tokenizer, ["airline"], logits, "Delta Air lost my suitcase.") == "delta air"
    assert best(tokenizer, ["airline"], logits, "They lost my suitcase.") == "airline"


def test_a_word_of_the_prompt_is_taken_whole_or_not_at_all(tokenizer):
    pieces = tokenizer.tokenize("unflavoured")
    assert len(pieces) > 1
    logits = scores(tokenizer, {pieces[0]: 9}, {"[SEP]": 9}, {"[SEP]": 9})
    assert best(tokenizer, ["bland"], logits, "unflavoured chalk") != pieces[0]


def test_what_is_longer_than_the_masks_can_hold_is_no_answer(tokenizer):
    phrases = Phrases(["a b c d", "a b c", ""], tokenizer, 3, INBEDDER)
    assert phrases.known.tolist() == [tokenizer.convert_tokens_to_ids(["a", "b", "c"])]


def test_the_words_of_the_prompts_frame_are_no_answers(tokenizer):
    logits = scores(tokenizer, {"response": 9, "late": 2}, {"[SEP]": 9}, {"[SEP]": 9})
    asked = INBEDDER.format(input="It is late.", instruction="Why?")
    assert best(tokenizer, [], logits, asked) == "late"


def test_where_there_is_nothing_to_choose_from_masks_are_read_one_by_one(tokenizer):
    logits = scores(tokenizer, {"calm": 9}, {"[SEP]": 9}, {"[SEP]": 9})
    assert best(tokenizer, [], logits, "???") == "calm"


def test_answers_of_mini_are_known_phrases_or_whole_words_of_the_prompt():
    encoder = load_encoder("mini", device="cpu")
    tokenizer, end = encoder.tokenizer, encoder.tokenizer.sep_token_id
    known = set(map(tuple, encoder.reader.phrases.known.tolist()))
    for text, answer in zip(TEXTS, encoder.answer(TEXTS, "What is it about?"), strict=True):
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        asked = tokenizer(f"{text} What is it about?", add_special_tokens=False)["input_ids"]
        starts = [i for i in range(len(asked)) if asked[i : i + len(ids)] == ids]
        pieces = [*tokenizer.convert_ids_to_tokens(asked), "end"]
        whole = [i for i in starts if not pieces[i].startswith("##") and not pieces[i + len(ids)].startswith("##")]
        assert answer and (tuple(ids + [end] * (3 - len(ids))) in known or whole)
