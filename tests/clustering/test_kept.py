from collections import Counter

import numpy as np
import pytest
from test_report import COLOUR, FRUIT, FRUITS, TEXTS, Reader

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.kept import CALLS_KEPT, Kept


class Counting(Reader):
    """Counts the texts that it encodes."""

    def __init__(self):
        self.encoded, self.settings = Counter(), {"width": 8}

    def encode(self, texts, instruction):
        self.encoded.update(texts)
        return super().encode(texts, instruction)


def test_texts_are_encoded_once_whatever_is_asked_of_them_by_one_question():
    encoder = Counting()
    kept = Kept(encoder)
    first = ask(kept, TEXTS, FRUIT)
    ask(kept, TEXTS, FRUIT, 3)
    for options in (FRUITS, FRUITS[::-1], [*FRUITS, "plum"]):
        sorted_anew = ask(kept, TEXTS, FRUIT, options=options)
    assert {encoder.encoded[text] for text in TEXTS} == {1}
    assert np.array_equal(first.embeddings, sorted_anew.embeddings) and first.answers == sorted_anew.answers
    assert ask(kept, TEXTS, FRUIT).to_frame().equals(ask(encoder, TEXTS, FRUIT).to_frame())


def test_another_question_and_what_is_long_ago_are_encoded():
    encoder = Counting()
    kept = Kept(encoder)
    for question in (FRUIT, COLOUR):
        assert np.array_equal(kept.encode(TEXTS[:2], question), encoder.encode(TEXTS[:2], question))
    encoder.encoded.clear()
    for text in TEXTS[: CALLS_KEPT + 1]:
        kept.encode([text], FRUIT)
    kept.encode(TEXTS[:1], FRUIT)
    kept.encode([TEXTS[CALLS_KEPT]], FRUIT)
    assert [encoder.encoded[text] for text in TEXTS[: CALLS_KEPT + 1]] == [2, *[1] * CALLS_KEPT]


def test_it_has_what_the_encoder_has_and_no_more():
    kept = Kept(Counting())
    assert kept.settings == {"width": 8} and not hasattr(kept, "encode_with_answers")
    with pytest.raises(AttributeError, match="'Counting' object has no attribute 'words'"):
        kept.words(np.ones((1, 8)))


def test_an_encoder_that_reads_texts_once_for_both_is_kept_too(tiny_encoder):
    kept = Kept(tiny_encoder)
    embeddings, answers = kept.encode_with_answers(TEXTS[:3], FRUIT)
    again, answered = tiny_encoder.encode_with_answers(TEXTS[:3], FRUIT)
    assert np.array_equal(embeddings, again) and answers == answered
    assert kept.encode_with_answers(TEXTS[:3], FRUIT)[0] is embeddings
