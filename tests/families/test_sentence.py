"""Plain sentence embedders behind the same `encode`, on a small one built here."""

import numpy as np
import pytest
from small_models import ASK, OTHER, TEXTS

from inbedder_utils import load_encoder

pytest.importorskip("sentence_transformers", reason="needs the extra `embedders`", exc_type=ImportError)


@pytest.fixture(scope="session")
def folder(folder_of, tmp_path_factory):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    bert, made = tmp_path_factory.mktemp("bare_bert"), tmp_path_factory.mktemp("sentence")
    AutoModel.from_pretrained(folder_of("bert")).save_pretrained(bert)
    AutoTokenizer.from_pretrained(folder_of("bert")).save_pretrained(bert)
    SentenceTransformer(str(bert), device="cpu").save(str(made))  # adds mean pooling
    return made


@pytest.fixture(scope="session")
def embedder(folder):
    return load_encoder(folder, device="cpu")


@pytest.fixture(scope="session")
def asking(folder):
    return load_encoder(folder, prompt="{instruction}: {input}", device="cpu")


def test_the_family_is_inferred_and_the_embeddings_are_the_models_own(folder, embedder):
    from sentence_transformers import SentenceTransformer

    vectors = embedder.encode(TEXTS, ASK)
    assert vectors.shape == (6, 32) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, SentenceTransformer(str(folder), device="cpu").encode(TEXTS), atol=1e-5)


def test_without_room_for_a_question_every_question_gives_the_same(embedder):
    np.testing.assert_array_equal(embedder.encode(TEXTS, ASK), embedder.encode(TEXTS, OTHER))
    np.testing.assert_array_equal(embedder.encode(TEXTS, ASK), embedder.encode(TEXTS))


def test_with_room_for_a_question_it_is_part_of_the_text(embedder, asking):
    np.testing.assert_allclose(
        asking.encode(TEXTS, ASK), embedder.encode([f"{ASK}: {text}" for text in TEXTS]), atol=1e-5
    )
    two = asking.encode(TEXTS[:2], [ASK, OTHER])
    np.testing.assert_allclose(two[1], asking.encode(TEXTS[1:2], OTHER)[0], atol=1e-5)
    with pytest.raises(ValueError, match="instruction 0 is empty"):
        asking.encode(TEXTS)


def test_options_mean_what_they_mean_for_an_encoder(asking):
    plain = asking.encode(TEXTS, ASK)
    np.testing.assert_allclose(asking.encode(TEXTS, ASK, batch_size=1), plain, atol=1e-5)
    unit = asking.encode(TEXTS, ASK, normalize_embeddings=True)
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5)
    many = asking.encode_many(TEXTS, [ASK, OTHER])
    np.testing.assert_allclose(many, [plain, asking.encode(TEXTS, OTHER)], atol=1e-5)


def test_no_texts_give_no_rows(embedder, asking):
    assert embedder.encode([], ASK).shape == asking.encode([], ASK).shape == (0, 32)


@pytest.mark.parametrize("texts", ["one", None, ["a", None]])
def test_texts_are_checked_as_for_an_encoder(embedder, texts):
    with pytest.raises(TypeError, match="texts"):
        embedder.encode(texts, ASK)


def test_long_texts_are_cut_at_max_length(folder):
    short = load_encoder(folder, max_length=8, device="cpu")
    lid, tea = short.encode(["the lid of the box on the table " + end for end in ("the lid", "tea tea tea")])
    np.testing.assert_allclose(lid, tea, atol=1e-5)


def test_repr_tells_whether_it_sees_the_question(embedder, asking):
    assert "sees no question, on cpu" in repr(embedder)
    assert "sees the question, on cpu" in repr(asking)


def test_a_bare_model_loads_as_an_embedder_if_asked_to(folder_of):
    embedder = load_encoder(folder_of("bert"), family="sentence", device="cpu")
    assert embedder.checkpoint.prompt == "{input}"
    assert embedder.encode(TEXTS).shape == (6, 32)


def test_it_can_re_encode_answers(folder_of, embedder):
    encoder = load_encoder(folder_of("llama"), pooling="re_encode", re_encoder=embedder, device="cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS, ASK), embedder.encode(encoder.answer(TEXTS, ASK)), atol=1e-5)


def test_questions_are_checked_as_for_an_encoder(asking):
    with pytest.raises(TypeError, match=r"instructions must be a list, got the str .*: pass \[question\]"):
        asking.encode_many(["a"], "How does it feel?")
    with pytest.raises(ValueError, match="ask at least one question"):
        asking.encode_many(["a"], [])
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        asking.encode(["a"], "Why?", batch_size=0)
