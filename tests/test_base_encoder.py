"""What an encoder gets from `BaseEncoder`, if it says no more than where its vectors come from."""

import numpy as np
import pytest
from small_models import ASK, OTHER, TEXTS

from inbedder_utils.base_encoder import BaseEncoder


class Lengths(BaseEncoder):
    """Embeds a text as its length and its question's; two texts at a time, the last ones first."""

    def __init__(self, like: BaseEncoder) -> None:
        self.checkpoint, self.prompt_tokenizer, self.asked = like.checkpoint, like.prompt_tokenizer, []

    def _lasting_identity(self):
        return {"by": "lengths"}

    def _new_vectors(self, texts, questions, *, batch_size=None, done=(), bar):
        left = [i for i in reversed(range(len(texts))) if i not in done]
        for start in range(0, len(left), batch_size or 2):
            indices = left[start : start + (batch_size or 2)]
            self.asked += [texts[i] for i in indices]
            yield indices, np.array([[len(texts[i]), len(questions[i])] for i in indices], np.float32)


@pytest.fixture
def lengths(encoder_of):
    return Lengths(encoder_of("opt"))


def expected(question):
    return np.array([[len(text), len(question)] for text in TEXTS], np.float32)


def test_vectors_come_in_order_from_memory_and_from_files(lengths, tmp_path):
    np.testing.assert_array_equal(lengths.encode(TEXTS, ASK), expected(ASK))
    np.testing.assert_array_equal(lengths.encode(iter(TEXTS), ASK, out=tmp_path / "one.npy"), expected(ASK))
    both = lengths.encode_many(TEXTS, [ASK, OTHER], out=tmp_path / "many.npy", batch_size=3)
    np.testing.assert_array_equal(both, [expected(ASK), expected(OTHER)])
    unit = lengths.encode(TEXTS, ASK, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)


def test_what_is_kept_is_not_asked_again(lengths, tmp_path):
    lengths.encode(TEXTS[:2], ASK, cache=tmp_path)
    np.testing.assert_array_equal(lengths.encode(TEXTS, ASK, cache=tmp_path), expected(ASK))
    assert sorted(lengths.asked) == sorted(set(TEXTS))


def test_arguments_are_checked(lengths):
    with pytest.raises(TypeError, match=r"texts\[1\] is None"):
        lengths.encode(["a", None], ASK)
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        lengths.encode(TEXTS, ASK, batch_size=0)
    assert not lengths.asked
