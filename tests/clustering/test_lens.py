"""A new question carried over to stored vectors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import normalize

from inbedder_utils import load_encoder
from inbedder_utils.clustering import lens as lens_module
from inbedder_utils.clustering.lens import Lens, fit_lens
from inbedder_utils.data import corpus

N, D, H = 1500, 96, 10
RNG = np.random.default_rng(0)
TOPICS = RNG.normal(size=(6, D)) + 0.5 * RNG.normal(size=D)
VECTORS = (TOPICS[RNG.integers(6, size=N)] + 0.5 * RNG.normal(size=(N, D))).astype(np.float32)
TEXTS = [f"text {i}" for i in range(N)]
FEELING, NEED = "How do they feel?", "What do they need?"
MATRICES = {FEELING: RNG.normal(size=(D, H)), NEED: RNG.normal(size=(D, H))}


class Linear:
    """Embeds a text linearly by its vector, plus what the vector doesn't hold; notes what it was given."""

    def __init__(self, noise=0.0):
        self.read, self.noise = [], noise

    def __repr__(self):
        return f"Linear({self.noise})"

    def encode(self, texts, instruction):
        self.read += texts
        rows = [int(text.split()[1]) for text in texts]
        others = np.random.default_rng(1).normal(size=(N, H))[rows]
        return (normalize(VECTORS[rows]) @ MATRICES[instruction] + 3 + self.noise * others).astype(np.float32)


class Many(Linear):
    def encode_many(self, texts, instructions):
        self.read += texts
        return np.stack([Linear(self.noise).encode(texts, instruction) for instruction in instructions])


class Counted:
    """Texts that are only there when asked for."""

    def __init__(self):
        self.touched = set()

    def __len__(self):
        return N

    def __getitem__(self, row):
        self.touched.add(row)
        return TEXTS[row]


@pytest.fixture(scope="module")
def both():
    return fit_lens(Linear(), TEXTS, VECTORS, [FEELING, NEED])


@pytest.fixture(scope="module")
def mini():
    return load_encoder("mini", device="cpu")


@pytest.mark.parametrize("question", [FEELING, NEED])
def test_what_the_vectors_hold_comes_out_in_order(both, question):
    before = VECTORS.copy()
    embeddings = both.apply(VECTORS, question)
    assert embeddings.shape == (N, H) and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, Linear().encode(TEXTS, question), atol=0.02)
    np.testing.assert_allclose(both.apply(VECTORS[::-7], question), embeddings[::-7], atol=1e-5)
    np.testing.assert_allclose(both.apply(VECTORS[5:6] * 100, question), embeddings[5:6], atol=1e-5)  # any length
    np.testing.assert_array_equal(VECTORS, before)
    assert both.apply(VECTORS[:0], question).shape == (0, H)


def test_reliability_has_a_row_per_question_and_print_a_line(both):
    table = both.reliability
    assert list(table.index) == [FEELING, NEED] and table["reliable"].all()
    assert (table["held-out cosine"] > 0.99).all() and (table["texts asked"] == 400).all()  # 400 win nothing over 200
    assert repr(both).splitlines()[1] == f"  {FEELING!r}: 400 texts asked, held-out cosine 1.00, reliable"
    assert len(repr(both).splitlines()) == 3


@pytest.mark.parametrize(("noise", "asked"), [(0.0, 400), (0.5, 1000)])
def test_texts_are_asked_until_more_of_them_do_not_help(noise, asked):
    assert fit_lens(Linear(noise), TEXTS, VECTORS, [FEELING, NEED]).asked == asked


@pytest.mark.parametrize("n", [30, 250])
def test_few_texts_are_all_asked(n):
    assert fit_lens(Linear(0.5), TEXTS[:n], VECTORS[:n], FEELING).asked == n


def test_vectors_that_hold_nothing_of_the_answer_are_refused():
    noise = np.random.default_rng(2).normal(size=(N, D))
    for vectors, encoder in ((noise, Linear()), (VECTORS, Linear(9.0)), (np.ones((N, D)), Linear())):
        lens = fit_lens(encoder, TEXTS, vectors, FEELING)
        assert not lens.reliability["reliable"][FEELING] and "not reliable (below 0.4)" in repr(lens)
        with pytest.raises(
            ValueError, match=r"held-out cosine -?0\.\d\d, not reliable \(below 0\.4\).*encoder\.encode"
        ):
            lens.apply(vectors)


def test_only_texts_of_the_sample_are_looked_at_and_each_is_read_once():
    encoder, texts = Many(0.5), Counted()
    lens = fit_lens(encoder, texts, VECTORS, [FEELING, NEED])
    assert len(texts.touched) <= 1000
    assert len(encoder.read) == len(set(encoder.read)) == lens.asked
    assert {*encoder.read} <= {TEXTS[row] for row in texts.touched}
    encoder = Linear()
    fit_lens(encoder, [*TEXTS[:50], *TEXTS[:50]], np.tile(VECTORS[:50], (2, 1)), FEELING)
    assert sorted(encoder.read) == sorted(TEXTS[:50])  # no text is held out that is also fitted to


def test_the_seed_decides(both):
    again = fit_lens(Linear(), TEXTS, VECTORS, [FEELING, NEED])
    np.testing.assert_array_equal(again.maps, both.maps)
    encoder, other = Linear(), Linear()
    fit_lens(encoder, TEXTS, VECTORS, FEELING, seed=1)
    fit_lens(other, TEXTS, VECTORS, FEELING, seed=2)
    assert encoder.read != other.read


def test_columns_arrays_and_files_will_do(both, tmp_path):
    np.save(tmp_path / "stored.npy", VECTORS.astype(np.float16))
    stored = np.load(tmp_path / "stored.npy", mmap_mode="r")
    for texts in (pd.Series(TEXTS, index=range(N, 0, -1)), np.array(TEXTS), tuple(TEXTS)):
        lens = fit_lens(Linear(), texts, stored, FEELING)
        np.testing.assert_allclose(lens.maps[0], both.maps[0], atol=0.1)
    np.testing.assert_allclose(lens.apply(VECTORS.tolist()), lens.apply(VECTORS), atol=1e-6)


def test_a_file_holds_what_apply_returns(both, tmp_path, monkeypatch):
    whole = both.apply(VECTORS, NEED)
    monkeypatch.setattr(lens_module, "WINDOW", 64)
    np.testing.assert_allclose(both.apply(VECTORS, NEED), whole, atol=1e-5)
    out = tmp_path / "answers.npy"
    written = both.apply(VECTORS, NEED, out=out)
    assert isinstance(written, np.memmap) and written.dtype == np.float32
    np.testing.assert_allclose(np.load(out), whole, atol=1e-5)
    out.unlink()
    broken = VECTORS.copy()
    broken[1203, 3] = np.inf
    broken[1203:1204], broken[1202:1203] = broken[1202:1203].copy(), broken[1203:1204].copy()
    with pytest.raises(ValueError, match="row 1202 of vectors holds NaN or infinity"):
        both.apply(broken, NEED, out=out)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"out must be a \.npy file"):
        both.apply(VECTORS, NEED, out=tmp_path / "answers.csv")


def test_vectors_of_another_embedder_are_told_and_others_of_the_same_are_not(both):
    rng = np.random.default_rng(3)
    turned = VECTORS @ np.linalg.qr(rng.normal(size=(D, D)))[0]
    for strangers in (turned, np.roll(VECTORS, 7, axis=1)):
        with pytest.raises(ValueError, match=r"likeness -?0\.0\d, below 0\.1\): pass the same embedder's"):
            both.apply(strangers, NEED)
        assert both.apply(strangers[:19], NEED).shape == (19, H)  # too few to tell
    for topic in TOPICS:  # a month in which there is one only
        both.apply(topic + 0.5 * rng.normal(size=(50, D)), NEED)


def test_vectors_in_all_directions_alike_raise_no_false_alarm():
    whitened = np.random.default_rng(3).normal(size=(N, D))

    class Held(Linear):
        def encode(self, texts, instruction):
            return normalize(whitened[[int(text.split()[1]) for text in texts]]) @ MATRICES[instruction]

    lens = fit_lens(Held(), TEXTS[: N // 2], whitened[: N // 2], FEELING)
    assert lens.apply(whitened[N // 2 :]).shape == (N // 2, H)


def test_a_saved_lens_comes_back_whole(both, tmp_path):
    path = both.save(tmp_path / "feeling.lens")
    again = Lens.load(path, Linear())
    assert repr(again) == repr(both)
    pd.testing.assert_frame_equal(again.reliability, both.reliability)
    np.testing.assert_array_equal(again.apply(VECTORS, NEED), both.apply(VECTORS, NEED))
    with pytest.raises(ValueError, match="made with another encoder"):
        Lens.load(path, Linear(1.0))
    with pytest.raises(FileNotFoundError, match="no lens in"):
        Lens.load(tmp_path / "none.lens")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        both.save(tmp_path / "none" / "feeling.lens")


def test_a_damaged_file_is_told(both, tmp_path):
    path = both.save(tmp_path / "feeling.lens")
    whole, expected = path.read_bytes(), both.apply(VECTORS, NEED)
    for place in range(0, len(whole), len(whole) // 150):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(Lens.load(path).apply(VECTORS, NEED), expected)  # in a date of the archive
        except ValueError as error:
            assert "can't be read" in str(error) and "save it again" in str(error)
    for content in (b"", whole[:-9], whole[:500], b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"can't be read .*: save it again"):
            Lens.load(path)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="can't be read"):
        Lens.load(tmp_path / "other.npz")


def test_a_save_that_fails_leaves_the_file_as_it_was(both, tmp_path, monkeypatch):
    path = both.save(tmp_path / "feeling.lens")
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        both.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"encoder": "mini"}, TypeError, "pass load_encoder"),
        ({"texts": "text"}, TypeError, "texts must be a list, got str"),
        ({"texts": iter(TEXTS)}, TypeError, "texts must be a list"),
        ({"texts": pd.DataFrame({"text": TEXTS})}, TypeError, "one column of a table"),
        ({"texts": TEXTS[1:]}, ValueError, "got 1500 vectors for 1499 texts"),
        ({"texts": [*TEXTS[:40], None], "vectors": VECTORS[:41]}, TypeError, r"texts\[40\] is None"),
        ({"texts": [], "vectors": VECTORS[:0]}, ValueError, "0 different texts among 0 that were drawn, expected 30"),
        ({"texts": TEXTS[:29], "vectors": VECTORS[:29]}, ValueError, "29 different texts among 29"),
        ({"texts": ["text 1"] * N}, ValueError, "1 different texts among 1000"),
        ({"vectors": VECTORS[:, 0]}, ValueError, r"vectors must be \(n, d\)"),
        ({"vectors": [["a"]] * N}, TypeError, "vectors must be numbers"),
        ({"vectors": np.where(np.arange(N)[:, None] == 9, np.nan, VECTORS)[:40], "texts": TEXTS[:40]},
         ValueError, "row 9 of vectors holds NaN"),
        ({"instructions": []}, ValueError, "ask at least one question"),
        ({"instructions": " "}, ValueError, "instruction 0 is empty"),
        ({"instructions": [FEELING, 3]}, TypeError, "instruction 1 is 3"),
        ({"seed": -1}, ValueError, "seed must be 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_asked(change, error, said):
    encoder = Linear()
    given = {"encoder": encoder, "texts": TEXTS, "vectors": VECTORS, "instructions": FEELING} | change
    with pytest.raises(error, match=said):
        fit_lens(**given)
    assert not encoder.read


def test_an_encoder_must_give_a_finite_row_per_text():
    class Odd(Linear):
        def encode(self, texts, instruction):
            return super().encode(texts, instruction)[1:]

    class Nan(Linear):
        def encode(self, texts, instruction):
            return super().encode(texts, instruction) * np.nan

    with pytest.raises(ValueError, match=r"one row per text, \(200, d\); got \(199, 10\)"):
        fit_lens(Odd(), TEXTS, VECTORS, FEELING)
    with pytest.raises(ValueError, match="NaN"):
        fit_lens(Nan(), TEXTS, VECTORS, FEELING)


def test_apply_refuses_what_the_lens_is_not_for(both):
    with pytest.raises(ValueError, match="vectors are 95 wide, expected 96"):
        both.apply(VECTORS[:, 1:], NEED)
    with pytest.raises(ValueError, match=r"unknown instruction 'How do they fell\?'.*did you mean 'How do they feel"):
        both.apply(VECTORS, "How do they fell?")
    with pytest.raises(ValueError, match="unknown instruction None: expected one of How do they feel"):
        both.apply(VECTORS)
    one = fit_lens(Linear(), TEXTS, VECTORS, FEELING)
    np.testing.assert_array_equal(one.apply(VECTORS), one.apply(VECTORS, FEELING))


def test_mini_answers_through_vectors_of_a_general_question(mini, tiny_encoder, tmp_path):
    texts = corpus("messages")["text"][::3]
    need = "What does the customer want?"
    stored, asked_in_full = mini.encode_many(texts, ["What is this about?", need])
    lens = fit_lens(mini, texts, stored, [need])
    assert lens.asked == len(texts) and lens.reliability["held-out cosine"][need] > 0.4
    mean = asked_in_full.mean(axis=0)
    assert (normalize(lens.apply(stored) - mean) * normalize(asked_in_full - mean)).sum(axis=1).mean() > 0.6
    with pytest.raises(ValueError, match="pass the same embedder's"):
        lens.apply(stored[:, ::-1])
    path = lens.save(tmp_path / "need.lens")
    assert Lens.load(path, mini).questions == [need]
    with pytest.raises(ValueError, match="made with another encoder"):
        Lens.load(path, tiny_encoder)
