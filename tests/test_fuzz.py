"""Any strings at all, as texts and as questions: every text gets its own vector and answer."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inbedder_utils import load_encoder

SMALL = ("llama", "opt", "gpt2", "qwen2", "roberta", "bert", "t5")
MODELS = (*SMALL, "tiny", "mini")

MARKUP = [
    *("</s>", "<s>", "<pad>", "<mask>", "<unk>", "[MASK]", "[SEP]", "[CLS]", "[PAD]", "[UNK]", "##", "▁", "Ġ"),
    *("<|endoftext|>", "<|im_end|>", "<extra_id_0>", "{input}", "{instruction}", "{sep}", "{", "}}", "%s", "\\n"),
    *("### Input:\n", "\n\n### Instruction:\n", "\n\n### Response:", " ", "\n", "\r\n", "\t", "\x00", "\x1b[0m"),
    *("\ud83d", "\udc4d\ud83d", "\ufeff", "\u200b", "\u202eabc", "\u2028", "\u00a0", "e\u0301" * 9, "ﷺ", "مرحبا"),
    *("שלום", "\U0001f469\u200d\U0001f467"),
]
anything = st.text(st.characters(exclude_categories=()), max_size=40)
pieces = st.one_of(st.sampled_from(MARKUP), anything)
long = st.builds(lambda piece, n: piece * n, pieces, st.integers(100, 3_000))
some_text = st.one_of(anything, st.lists(pieces, max_size=6).map("".join), long)
some_texts = st.lists(some_text, max_size=5)
some_question = st.lists(pieces, min_size=1, max_size=3).map("".join).filter(str.strip)

fuzzed = partial(settings, deadline=None, derandomize=True)
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def model(encoder_of):
    """(name, settings) -> encoder: of a bundled checkpoint, or of a small random one."""
    return cache(
        lambda name, **settings: (
            encoder_of(name, **settings) if name in SMALL else load_encoder(name, device="cpu", **settings)
        )
    )


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
    assert np.isfinite(ours).all()
    assert (np.linalg.norm(ours - theirs, axis=-1) <= 1e-4 * np.linalg.norm(theirs, axis=-1)).all()


def alone(encoder, texts: list[str], questions: list[str]) -> np.ndarray:
    width = encoder.encode([], "?").shape[1]
    found = [encoder.encode([text], question) for text, question in zip(texts, questions, strict=True)]
    return np.concatenate([np.empty((0, width), np.float32), *found])


@every_model
@fuzzed(max_examples=8)
@given(texts=some_texts, data=st.data())
def test_every_text_has_its_own_vector_whatever_its_neighbours(model, name, texts, data):
    encoder = model(name)
    questions = data.draw(st.lists(some_question, min_size=len(texts), max_size=len(texts)))
    vectors = encoder.encode(texts, questions)
    assert_same(vectors, alone(encoder, texts, questions))
    assert_same(encoder.encode(texts[::-1], questions[::-1], batch_size=2), vectors[::-1])


@every_model
@fuzzed(max_examples=5)
@given(texts=some_texts, questions=st.lists(some_question, min_size=1, max_size=3))
def test_every_question_is_asked_of_every_text(model, name, texts, questions):
    encoder = model(name)
    many = encoder.encode_many(texts, questions)
    assert many.shape[:2] == (len(questions), len(texts))
    for vectors, question in zip(many, questions, strict=True):
        assert_same(vectors, encoder.encode(texts, question))


@every_model
@fuzzed(max_examples=5)
@given(texts=some_texts, question=some_question)
def test_every_text_is_answered_and_read_as_words(model, name, texts, question):
    encoder = model(name)
    vectors, answers = encoder.encode_with_answers(texts, question)
    assert len(answers) == len(texts) and all(isinstance(answer, str) for answer in answers)
    assert_same(vectors, encoder.encode(texts, question))
    words = encoder.words(vectors, 3)
    assert [len(some) for some in words] == [3] * len(texts) and all(map(str.isprintable, sum(words, [])))


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "qwen2", "tiny", "mini"])
@fuzzed(max_examples=5)
@given(texts=some_texts, questions=st.lists(some_question, min_size=1, max_size=3))
def test_remembered_texts_give_the_same(model, name, texts, questions):
    encoder, remembering = model(name), model(name).remembering()
    for question in questions:
        assert_same(remembering.encode(texts, question), encoder.encode(texts, question))


@every_model
@pytest.mark.parametrize("truncation", ["text", "left"])
@fuzzed(max_examples=3)
@given(texts=some_texts, question=some_question)
def test_texts_of_any_length_fit_into_a_short_row(model, name, truncation, texts, question):
    encoder = model(name, max_length=80, truncation=truncation)
    try:
        rows = encoder.prompt_tokenizer(texts, [question] * len(texts))
    except ValueError as error:
        assert truncation == "text" and "leaves no room for the text" in str(error)
        assume(False)
    assert all(len(row) <= 80 for row in rows)
    assert_same(encoder.encode(texts, question), alone(encoder, texts, [question] * len(texts)))
