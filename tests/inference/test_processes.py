"""Several processes give what one gives, in order; what one of them did is kept when another is killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from select import select
from threading import Thread

import numpy as np
import pytest
import torch
from conftest import ROOT
from small_models import ASK, OTHER, TEXTS

from inbedder_utils.checks import TextsCut
from inbedder_utils.inference import processes
from inbedder_utils.inference.processes import BATCHES, PIECES, _pieces
from inbedder_utils.inference.progress import Progress
from inbedder_utils.inference.reader import MAX_TOKENS
from inbedder_utils.storage import streams
from inbedder_utils.storage.cache_folder import list_caches
from inbedder_utils.storage.vector_cache import VectorCache

MANY = [f"{i}: {text}" for i in range(10) for text in TEXTS]
TWO = ["cpu", "cpu"]


@pytest.fixture(scope="module")
def spread(mini_encoder):
    with mini_encoder.on(TWO) as encoder:
        yield encoder


def test_vectors_and_answers_are_those_of_one_process_in_order(mini_encoder, spread):
    alone = mini_encoder.encode(MANY, ASK)
    np.testing.assert_allclose(spread.encode(MANY, ASK), alone, rtol=1e-4, atol=1e-5)
    vectors, answers = spread.encode_with_answers(MANY, ASK)
    np.testing.assert_allclose(vectors, alone, rtol=1e-4, atol=1e-5)
    assert answers == spread.answer(MANY, ASK) == mini_encoder.answer(MANY, ASK)
    assert len(set(answers)) > 1
    assert spread.encode([], ASK).shape == (0, alone.shape[1]) and spread.answer([], ASK) == []


def test_many_questions_are_asked_in_processes_too(mini_encoder, spread, tmp_path):
    questions = [ASK, OTHER, "When?"]
    vectors = spread.encode_many(MANY, questions, out=tmp_path / "many.npy")
    np.testing.assert_allclose(vectors, mini_encoder.encode_many(MANY, questions), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / "many.npy"), vectors)


def test_the_model_runs_in_the_processes_and_the_bar_counts_here(spread, capsys):
    ran = []
    handle = spread.reader.stack.register_forward_pre_hook(lambda *_: ran.append(1))
    spread.encode([*MANY, *MANY], ASK, show_progress_bar=True)
    handle.remove()
    assert not ran and "120/120" in capsys.readouterr().err


def test_one_warning_counts_the_texts_that_any_process_cut(spread):
    with pytest.warns(TextsCut, match="2 of 62 prompts") as warned:
        spread.encode(["long " * 600, *MANY, "longer " * 900], ASK)
    assert len(warned) == 1


def test_prompts_of_one_text_are_not_parted_and_long_ones_come_first(mini_encoder):
    texts = [text for i in range(40) for text in ["x" * i] * 3]
    workers = [(torch.device("cpu"), None)] * 2
    pieces = _pieces(mini_encoder.reader, workers, texts, None)
    assert sorted(i for piece in pieces for i in piece) == list(range(120))
    assert len(pieces) == 2 * PIECES and all(len(piece) % 3 == 0 for piece in pieces)
    lengths = [len(texts[i]) for piece in pieces for i in piece]
    assert lengths == sorted(lengths, reverse=True)


def test_pieces_of_long_calls_are_a_few_batches(mini_encoder):
    workers, reader = [(torch.device("cpu"), None)] * 2, mini_encoder.reader
    for words, tokens in ((40, 90), (2_000, reader.checkpoint.max_length)):
        pieces = _pieces(reader, workers, [f"{i} {'word ' * words}" for i in range(1000)], None)
        assert BATCHES / 2 < max(map(len, pieces)) * tokens / MAX_TOKENS["cpu"] < BATCHES * 2
    assert {len(piece) for piece in _pieces(reader, workers, TEXTS * 1000, 2)} == {1000}  # of one text: never parted
    assert max(map(len, _pieces(reader, workers, list(map(str, range(1000))), 2))) == BATCHES * 2


def test_leaving_the_with_by_an_error_does_not_wait_for_what_was_handed_out(mini_encoder, monkeypatch):
    monkeypatch.setattr(processes, "BATCHES", 10**6)
    texts = [f"{i} {'word ' * 400}" for i in range(2 * PIECES * 300)]
    with pytest.raises(KeyError), mini_encoder.on(TWO) as encoder:
        batches = encoder.reader.answer_batches(texts, [ASK] * len(texts), bar=Progress(disable=True))
        copied, errors = encoder.remembering(), []
        thread = Thread(target=lambda: errors.append(str(pytest.raises(RuntimeError, next, batches).value)))
        thread.start()
        time.sleep(1)  # two pieces of 300 long texts take far longer
        raise KeyError
    thread.join()
    assert "the `with` has ended" in errors[0]  # and not the first piece's result
    np.testing.assert_allclose(copied.encode(TEXTS, ASK), mini_encoder.encode(TEXTS, ASK), rtol=1e-4, atol=1e-5)


def test_an_error_in_a_process_is_that_of_one_and_leaves_the_processes(mini_encoder, spread):
    def said(reader):
        with pytest.raises(Exception) as caught:
            list(reader.pooled_batches(MANY, [ASK] * len(MANY), {("nonsense", 1)}, bar=Progress(disable=True)))
        return type(caught.value), str(caught.value)

    assert said(spread.reader) == said(mini_encoder.reader)
    with pytest.raises(ValueError, match="leaves no room for the text"):
        spread.encode(MANY, [ASK] * (len(MANY) - 1) + ["why " * 2000])
    assert np.isfinite(spread.encode(MANY, ASK)).all()


def test_a_killed_process_is_named_and_what_was_done_is_kept(mini_encoder, spread, tmp_path, monkeypatch):
    whole = spread.encode(MANY, ASK, cache=tmp_path / "whole")
    others, put = set(multiprocessing.active_children()), VectorCache.put

    def put_then_kill(store, *rows):
        put(store, *rows)
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
            process.join()

    with mini_encoder.on(TWO) as encoder, monkeypatch.context() as patched:
        patched.setattr(streams, "SECONDS_BETWEEN_PUTS", 0)
        patched.setattr(VectorCache, "put", put_then_kill)
        with pytest.raises(RuntimeError, match="the process on cpu has ended, .*: start again, and what was kept"):
            encoder.encode(MANY, ASK, cache=tmp_path / "killed")
    assert set(multiprocessing.active_children()) == others
    assert 0 < int(list_caches(tmp_path / "killed")["vectors"].sum()) < len(MANY)
    again = spread.encode(MANY, ASK, cache=tmp_path / "killed", out=tmp_path / "again.npy")
    np.testing.assert_array_equal(again, whole)
    np.testing.assert_allclose(encoder.encode(MANY, ASK), whole, rtol=1e-4, atol=1e-5)  # after the `with`: alone


SCRIPT = """
from inbedder_utils import load_encoder

def main():
    with load_encoder("tiny", device="cpu").on(["cpu", "cpu"]) as encoder:
        print("started", flush=True)
        while True:
            encoder.encode(["one", "another", "a third"], "What?")

if {guard}:
    main()
"""


@pytest.fixture
def start(tmp_path):
    """A guard -> the script that has it, running; whatever becomes of the test, it ends, and so do its processes."""
    running = []

    def start(guard: str) -> subprocess.Popen:
        (tmp_path / "script.py").write_text(SCRIPT.format(guard=guard), encoding="utf-8")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        running.append(subprocess.Popen([sys.executable, tmp_path / "script.py"], env=environment, **pipes))
        return running[0]

    yield start
    with suppress(ProcessLookupError):  # the group has the number of the script, which started it
        os.killpg(running[0].pid, signal.SIGKILL)
    running[0].communicate(timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX's signals")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGKILL"])
def test_processes_end_with_the_one_that_started_them(start, sent):
    script = start("__name__ == '__main__'")
    assert select([script.stdout], [], [], 120)[0] and script.stdout.readline() == "started\n"
    time.sleep(1)
    (os.killpg if sent == "SIGINT" else os.kill)(script.pid, signal.Signals[sent])
    _, errors = script.communicate(timeout=120)  # which ends when nobody holds the pipes
    assert script.returncode
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == (sent == "SIGINT"), errors


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX's signals")
def test_a_script_that_each_process_would_run_again_is_told_what_to_do(start):
    _, errors = start("True").communicate(timeout=120)
    assert "A script needs `if __name__ == '__main__':` before what it runs" in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("devices", "kind", "message"),
    [
        ("cuda:0", TypeError, r"devices must be a list, got the str 'cuda:0': pass \['cuda:0', 'cuda:1'\]"),
        ([], ValueError, "devices is empty: name at least one, such as 'cuda:0'"),
        (["cpu", "gpu"], ValueError, "device 'gpu' is not one torch knows: use 'cpu', 'cuda'"),
        (["cpu", "cuda:99"], ValueError, "device 'cuda:99' is not there"),
    ],
)
def test_devices_are_checked_before_a_process_is_started(tiny_encoder, monkeypatch, devices, kind, message):
    monkeypatch.setattr("inbedder_utils.inference.processes.ProcessPoolExecutor", None)
    with pytest.raises(kind, match=message), tiny_encoder.on(devices):
        pass
