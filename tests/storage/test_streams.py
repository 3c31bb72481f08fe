"""Texts of any number in, one file out."""

import numpy as np
import pytest
from small_models import ASK, OTHER, TEXTS

from inbedder_utils.storage import streams
from inbedder_utils.storage.streams import collected, windows
from inbedder_utils.storage.vector_cache import VectorCache


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(streams, "WINDOW", 4)


def test_a_file_holds_what_encode_returns(encoder_of, tmp_path, small_windows):
    encoder, out = encoder_of("opt"), tmp_path / "vectors.npy"
    expected = encoder.encode(TEXTS, ASK, normalize_embeddings=True)
    for texts in (TEXTS, iter(TEXTS), (text for text in TEXTS), np.array(TEXTS)):
        vectors = encoder.encode(texts, ASK, normalize_embeddings=True, out=out)
        assert isinstance(vectors, np.memmap) and not vectors.flags.writeable
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(np.load(out), vectors)
        del vectors
        out.unlink()


@pytest.mark.parametrize(("seconds", "puts"), [(0, len(TEXTS)), (1e9, 1)])
def test_vectors_are_kept_by_and_by_and_not_with_every_batch(encoder_of, tmp_path, monkeypatch, seconds, puts):
    put, times = VectorCache.put, []
    monkeypatch.setattr(streams, "SECONDS_BETWEEN_PUTS", seconds)
    monkeypatch.setattr(VectorCache, "put", lambda *given: (times.append(1), put(*given)))
    kept = encoder_of("opt").encode(TEXTS, ASK, batch_size=1, cache=tmp_path)
    assert len(times) == puts
    np.testing.assert_array_equal(encoder_of("opt").encode(TEXTS, ASK, cache=tmp_path), kept)


def test_a_stream_may_have_a_question_per_text(encoder_of, tmp_path, small_windows):
    encoder, asked = encoder_of("opt"), [ASK, OTHER, OTHER] * 2
    vectors = encoder.encode(iter(TEXTS), asked, out=tmp_path / "vectors.npy")
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS, asked), rtol=1e-4, atol=1e-6)


def test_an_empty_stream_gives_a_file_without_rows(encoder_of, tmp_path):
    for asked in (ASK, []):
        vectors = encoder_of("opt").encode(iter([]), asked, out=tmp_path / "none.npy")
    assert vectors.shape == (0, 32) == np.load(tmp_path / "none.npy").shape


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1 .* for 4 or more texts"), (5, "5 .* for 6 or"), (7, "7 .* for 6 texts")]
)
def test_another_number_of_questions_than_texts_is_an_error_and_leaves_no_file(
    encoder_of, tmp_path, small_windows, n, said
):
    with pytest.raises(ValueError, match=said):
        encoder_of("opt").encode(iter(TEXTS), [ASK] * n, out=tmp_path / "vectors.npy")
    assert not list(tmp_path.iterdir())


def test_a_bad_text_in_a_stream_is_named_by_its_number_and_the_old_file_stays(encoder_of, tmp_path, small_windows):
    out = tmp_path / "vectors.npy"
    np.save(out, np.zeros((1, 2)))
    with pytest.raises(TypeError, match=r"texts\[5\] is None"):
        encoder_of("opt").encode(iter([*TEXTS[:5], None]), ASK, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.npy"] and np.load(out).shape == (1, 2)


@pytest.mark.parametrize(
    ("texts", "asked", "out", "kind", "message"),
    [
        (TEXTS, ASK, "vectors.csv", ValueError, "out must be a .npy file, got"),
        (TEXTS, ASK, "nowhere/vectors.npy", FileNotFoundError, "there is no folder"),
        ("one text", ASK, "vectors.npy", TypeError, r"texts must be a list, .* pass \[text\]"),
        (iter(TEXTS), "", "vectors.npy", ValueError, "instruction 0 is empty"),
        ([*TEXTS, 3], ASK, "vectors.npy", TypeError, r"texts\[6\] is 3 \(int\)"),
    ],
)
def test_bad_input_is_refused_before_model_work(encoder_of, tmp_path, texts, asked, out, kind, message):
    encoder = encoder_of("opt")
    handle = encoder.lm.register_forward_pre_hook(lambda *_: pytest.fail("the model ran"))
    try:
        with pytest.raises(kind, match=message):
            encoder.encode(texts, asked, out=tmp_path / out)
    finally:
        handle.remove()


def test_windows_of_a_list_and_of_a_stream_are_the_same(small_windows):
    texts = [str(i) for i in range(10)]
    n, of_list = windows(texts, ASK)
    unknown, of_stream = windows(iter(texts), ASK)
    assert (n, unknown) == (10, None)
    listed = list(of_list)
    assert [window for window, _ in listed] == [texts[:4], texts[4:8], texts[8:]]
    assert [pair for pair in of_stream if pair[0]] == listed


def test_a_file_written_in_parts_is_the_file_numpy_writes(tmp_path):
    parts = [np.random.default_rng(i).normal(size=(n, 3)).astype(np.float32) for i, n in enumerate([2, 0, 5])]
    collected(iter(parts), None, tmp_path / "parts.npy")
    np.save(tmp_path / "whole.npy", np.concatenate(parts))
    np.testing.assert_array_equal(np.load(tmp_path / "parts.npy"), np.load(tmp_path / "whole.npy"))


@pytest.mark.parametrize("path", [None, "many.npy"])
def test_vectors_of_several_questions_are_brought_together_question_by_question(tmp_path, path):
    parts = [np.random.default_rng(n).normal(size=(n * 3, 2)).astype(np.float32) for n in (4, 1, 2)]
    together = collected(iter(parts), 7, path and tmp_path / path, k=3)
    by_hand = np.concatenate(parts).reshape(7, 3, 2).swapaxes(0, 1)
    assert together.shape == (3, 7, 2)
    np.testing.assert_array_equal(together, by_hand)
