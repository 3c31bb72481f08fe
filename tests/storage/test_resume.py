"""Encoding with a cache: what is done is never done again, and a killed run ends with the same bytes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from small_models import ASK, OTHER, TEXTS

from inbedder_utils import load_encoder
from inbedder_utils.storage.cache_folder import list_caches

MANY = [f"{i}: {text}" for i in range(40) for text in TEXTS]

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from inbedder_utils import load_encoder
from inbedder_utils.storage import streams
from inbedder_utils.storage.cache_folder import list_caches

streams.SECONDS_BETWEEN_PUTS = 0.05  # a short run has as many places to be killed at as a long one
folder, work, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
texts = [f"{i}: " + "the parcel came late " * (i % 17) for i in range(1500)]
encoder = load_encoder(folder, device="cpu")

def run(cache, out):  # in a process of its own; the model's threads have not been started in this one
    if (child := os.fork()) == 0:
        encoder.encode(texts, "How does the customer feel?", cache=work / cache, out=work / out)
        os._exit(0)
    return child

def kept():
    return int(list_caches(work / "killed")["vectors"].sum()) if (work / "killed").exists() else 0

start = time.monotonic()
assert os.waitpid(run("whole", "whole.npy"), 0)[1] == 0
seconds, chance, done = time.monotonic() - start, random.Random(0), [0]
for i in range(kills):
    child = run("killed", "killed.npy")
    while i % 3 and kept() == done[-1] < len(texts):  # two in three are killed after their first batch
        assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it runs
        time.sleep(0.01)
    time.sleep(chance.uniform(0, seconds / kills))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done.append(kept())
    assert not (work / "killed.npy").exists() or done[-1] == len(texts)
assert os.waitpid(run("killed", "killed.npy"), 0)[1] == 0
assert (work / "killed.npy").read_bytes() == (work / "whole.npy").read_bytes()
assert np.load(work / "killed.npy").shape[0] == len(texts)
print(done)
"""


def passes(encoder) -> list[int]:
    """Tokens of each pass, from now on."""
    seen: list[int] = []
    stack = encoder.reader.stack
    stack.register_forward_pre_hook(lambda *args: seen.append(args[2]["input_ids"].numel()), with_kwargs=True)
    return seen


@pytest.fixture
def encoder(folder_of):
    encoder = load_encoder(folder_of("opt"), device="cpu")
    for length in (32, 64, 128, 256):
        encoder.reader.trials.way(length, generates=False)  # its passes are not counted
    return encoder


def killed(folder: Path, work: Path, kills: int) -> list[int]:
    command = [sys.executable, "-c", KILLED, str(folder), str(work), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [int(n) for n in done.stdout.strip("[]\n").split(",")]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs a system that can fork")
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(folder_of, tmp_path, kills):
    done = killed(folder_of("opt"), tmp_path, kills)
    assert len(done) == kills + 1 and done == sorted(done)
    assert len(set(done) - {0, 1500}) > kills / 4  # runs were killed at so many places between beginning and end


def test_what_is_in_the_cache_is_not_encoded_again(encoder, tmp_path):
    plain = encoder.encode(MANY, ASK)
    seen = passes(encoder)
    first = encoder.encode(MANY, ASK, cache=tmp_path)
    np.testing.assert_array_equal(first, plain)
    ran = len(seen)
    assert ran > 3
    np.testing.assert_array_equal(encoder.encode(MANY, ASK, cache=tmp_path), plain)
    np.testing.assert_array_equal(encoder.encode(MANY[::-1], ASK, cache=tmp_path), plain[::-1])
    assert len(seen) == ran
    encoder.encode([*MANY, "One more."], ASK, cache=tmp_path)
    assert len(seen) == ran + 1 and seen[-1] < 60


def test_normalizing_and_other_batches_take_from_the_same_cache(encoder, tmp_path):
    plain = encoder.encode(MANY, ASK, cache=tmp_path)
    seen = passes(encoder)
    unit = encoder.encode(MANY, ASK, cache=tmp_path, normalize_embeddings=True, batch_size=3)
    np.testing.assert_allclose(unit * np.linalg.norm(plain, axis=1, keepdims=True), plain, rtol=1e-5)
    assert not seen


def test_an_error_in_the_middle_keeps_what_was_done(encoder, tmp_path):
    plain, calls = encoder.encode(MANY, ASK), []

    def fail(*_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    handle = encoder.reader.stack.register_forward_pre_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        encoder.encode(MANY, ASK, cache=tmp_path)
    handle.remove()
    kept = int(list_caches(tmp_path)["vectors"].sum())
    assert 0 < kept < len(MANY)
    np.testing.assert_array_equal(encoder.encode(MANY, ASK, cache=tmp_path), plain)


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "avg_ppt"},
        {"layer": 1},
        {"max_length": 64},
        {"dtype": "bfloat16"},
        {"truncation": "left"},
        {"prompt": "{input} {instruction}"},
    ],
)
def test_another_setting_never_gets_old_vectors(encoder, folder_of, tmp_path, change):
    encoder.encode(TEXTS, ASK, cache=tmp_path)
    other = load_encoder(folder_of("opt"), device="cpu", **change)
    np.testing.assert_array_equal(other.encode(TEXTS, ASK, cache=tmp_path), other.encode(TEXTS, ASK))
    assert list_caches(tmp_path)["vectors"].tolist() == [len(TEXTS)] * 2


def test_another_question_or_changed_weights_never_get_old_vectors(encoder, tmp_path):
    encoder.encode(TEXTS, ASK, cache=tmp_path)
    np.testing.assert_array_equal(encoder.encode(TEXTS, OTHER, cache=tmp_path), encoder.encode(TEXTS, OTHER))
    encoder.lm.get_input_embeddings().weight.data += 0.01
    np.testing.assert_array_equal(encoder.encode(TEXTS, ASK, cache=tmp_path), encoder.encode(TEXTS, ASK))


def test_another_tokenizer_never_gets_old_vectors(encoder, tmp_path):
    from tokenizers.normalizers import Lowercase

    before = encoder.encode(TEXTS, ASK, cache=tmp_path)
    encoder.tokenizer.backend_tokenizer.normalizer = Lowercase()
    assert not np.array_equal(encoder.encode(TEXTS, ASK, cache=tmp_path), before)


def test_many_questions_fill_the_cache_of_one(encoder, tmp_path):
    together = encoder.encode_many(TEXTS, [ASK, OTHER], cache=tmp_path)
    seen = passes(encoder)
    np.testing.assert_array_equal(encoder.encode(TEXTS, OTHER, cache=tmp_path), together[1])
    assert not seen


def test_damaged_vectors_are_encoded_again_with_one_warning(encoder, tmp_path):
    plain = encoder.encode(MANY, ASK, cache=tmp_path)
    (file,) = tmp_path.glob("*.sqlite")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE rowid % 9 = 1")
    with pytest.warns(UserWarning, match=f"vectors in .*{file.name} are damaged") as warned:
        again = encoder.encode(MANY, ASK, cache=tmp_path)
    np.testing.assert_allclose(again, plain, rtol=1e-4, atol=1e-5)  # their batches are smaller now
    assert len(warned) == 1
    np.testing.assert_array_equal(encoder.encode(MANY, ASK, cache=tmp_path), again)


def test_a_damaged_cache_is_named_before_model_work_and_can_be_deleted(encoder, tmp_path):
    plain = encoder.encode(TEXTS, ASK, cache=tmp_path)
    (file,) = tmp_path.glob("*.sqlite")
    file.write_bytes(file.read_bytes()[:5000])
    seen = passes(encoder)
    with pytest.raises(OSError, match=f"{file.name} can't be used .*: delete it, or choose another folder"):
        encoder.encode(TEXTS, ASK, cache=tmp_path)
    assert not seen
    file.unlink()
    np.testing.assert_array_equal(encoder.encode(TEXTS, ASK, cache=tmp_path), plain)


def test_re_encoded_answers_are_kept_too(folder_of, tmp_path):
    class Letters:
        calls = 0

        def encode(self, answers):
            Letters.calls += 1
            return [[answer.count(letter) for letter in "aeiou"] for answer in answers]

    encoder = load_encoder(folder_of("roberta"), pooling="re_encode", re_encoder=Letters(), device="cpu")
    plain = encoder.encode(TEXTS, ASK)
    with pytest.raises(ValueError, match="can't be told from others.*__repr__"):
        encoder.encode(TEXTS, ASK, cache=tmp_path)
    Letters.__repr__ = lambda self: "Letters()"
    np.testing.assert_array_equal(encoder.encode(TEXTS, ASK, cache=tmp_path), plain)
    calls = Letters.calls
    np.testing.assert_array_equal(encoder.encode(TEXTS, ASK, cache=tmp_path), plain)
    assert Letters.calls == calls


def test_a_bad_batch_size_is_refused_even_if_all_is_kept(encoder, tmp_path):
    encoder.encode(TEXTS, ASK, cache=tmp_path)
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        encoder.encode(TEXTS, ASK, cache=tmp_path, batch_size=0)


def test_a_question_that_is_too_long_shows_before_model_work(encoder):
    seen = passes(encoder)
    asked = [ASK] * 2999 + ["why " * 2000]
    with pytest.raises(ValueError, match="leaves no room"):
        encoder.encode([f"{i}" for i in range(3000)], asked)
    assert not seen


def test_a_file_where_the_cache_should_be_is_refused_before_model_work(encoder, tmp_path):
    seen = passes(encoder)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="is a file"):
        encoder.encode(TEXTS, ASK, cache=tmp_path / "file")
    assert not seen and (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_equal_texts_are_encoded_once(encoder):
    seen = passes(encoder)
    vectors = encoder.encode(TEXTS * 3, ASK)
    rows = encoder.prompt_tokenizer(TEXTS, [ASK] * len(TEXTS))
    assert seen == [len(rows) * max(map(len, rows))]
    np.testing.assert_array_equal(vectors, np.tile(vectors[: len(TEXTS)], (3, 1)))


def test_a_bar_counts_every_text_once(encoder, tmp_path, capsys):
    encoder.encode(TEXTS * 2, ASK, cache=tmp_path)
    assert capsys.readouterr().err == ""
    encoder.encode([*TEXTS, *TEXTS, "new"], ASK, cache=tmp_path, show_progress_bar=True)
    assert "13/13" in capsys.readouterr().err
