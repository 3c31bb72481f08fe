"""A reader on several devices: a process on each, with its own copy of the model."""

import os
import signal
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from copy import copy
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import torch

from inbedder_utils.checks import as_list
from inbedder_utils.inference.devices import chosen_device
from inbedder_utils.inference.progress import Progress
from inbedder_utils.inference.reader import MAX_TOKENS, PROMPTS_AHEAD, Reader

Worker = tuple[torch.device, ProcessPoolExecutor]
"""A device, and what runs calls in its process, one after the other."""
SPREAD = ("pooled_batches", "answer_batches")
"""The methods of a reader that run in processes."""
PIECES = 4
"""Of a call, for each device: at least so many, so that all are done at about the same time."""
BATCHES = 8
"""In a piece, at most and about (in 16 bits half as many): it comes back at once, or is lost with its process."""
AROUND = 50
"""Tokens of a prompt without its text, more or less."""
_HERE: list[Any] = []
"""In a process that was started here: what says that it is to end, and its reader."""


@contextmanager
def spread(reader: Reader, devices: Sequence[str | torch.device]) -> Iterator[Reader]:
    """A copy of a reader that runs on several devices; see `inbedder_utils.encoder.Encoder.on`, whose errors these are.

    After the `with` it runs where the reader does, and so do copies of it.
    """
    chosen = [chosen_device(device) for device in as_list("devices", devices, "pass ['cuda:0', 'cuda:1']")]
    if not chosen:
        raise ValueError("devices is empty: name at least one, such as 'cuda:0'")
    alone, shared = copy(reader), copy(reader)
    alone.memory = shared.memory = None
    for name in ("trials", *SPREAD):  # ways of reading are tried anew on each device
        vars(alone).pop(name, None)
    context = get_context("spawn")
    ended = context.RawValue("b", 0)  # without a lock, which a process that is killed might hold
    pools = [ProcessPoolExecutor(1, context, _begin, (ended,)) for _ in chosen]
    workers = list(zip(chosen, pools, strict=True))
    try:
        _load_all(alone, workers)
        vars(shared).update({name: partial(_batches, reader, workers, ended, name) for name in SPREAD})
        yield shared
    finally:
        ended.value = 1
        with ThreadPoolExecutor(len(pools)) as threads:
            threads.map(ProcessPoolExecutor.shutdown, pools)  # each waits until its process has ended


def _load_all(reader: Reader, workers: list[Worker]) -> None:
    """Give each process a reader of its own, by a file in TMPDIR: sent without one, it would take memory here, too."""
    threads = max(1, torch.get_num_threads() // len(workers))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "reader.pt"
        torch.save(reader, file)
        loads = [pool.submit(_load, file, device, threads) for device, pool in workers]
        for (device, _), load in zip(workers, loads, strict=True):
            with _alive(device):
                load.result()


def _begin(ended: Any) -> None:
    _HERE.append(ended)


def _load(file: Path, device: torch.device, threads: int) -> None:
    """Make this process ready to read."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C, which all processes get, ends this one without a word
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # else each process would take memory of the first GPU, too
    _HERE.append(torch.load(file, map_location=device, weights_only=False))


def _end_with_parent() -> None:
    """Where the parent is killed, nobody else would end this process, which holds a device's memory."""
    parent_process().join()
    os._exit(1)


def _batches(
    reader: Reader,
    workers: list[Worker],
    ended: Any,
    method: str,
    texts: list[str],
    questions: list[str],
    *wanted: Any,
    bar: Progress,
    done: Collection[int] = (),
    **run: Any,
) -> Iterator[tuple[list[int], Any]]:
    """What a method of a reader yields, piece by piece; the prompts in a piece do not depend on what is `done`."""
    if ended.value:
        yield from getattr(reader, method)(texts, questions, *wanted, bar=bar, done=done, **run)
        return
    reader.prompt_tokenizer.check_questions(questions)  # such an error should show before any model work
    pieces, running = iter(_pieces(reader, workers, texts, run.get("batch_size"))), {}

    def start(device: torch.device, pool: ProcessPoolExecutor) -> None:
        if piece := next(pieces, None):
            prompts = [[strings[i] for i in piece] for strings in (texts, questions)]
            left_out = {place for place, i in enumerate(piece) if i in done}
            with _alive(device):
                future = pool.submit(_read, method, *prompts, *wanted, done=left_out, **run)
            running[future] = device, pool, piece

    for worker in workers * 2:  # one to run, one to wait, so that none waits for what is done with its results
        start(*worker)
    while running:
        finished = wait(running, return_when=FIRST_COMPLETED).done
        for future in sorted(finished, key=lambda future: future.exception() is not None):  # what is there is kept
            device, pool, piece = running.pop(future)
            with _alive(device):
                batches, read, cut = future.result()
            bar.read, bar.cut = bar.read + read, bar.cut + cut
            for places, result in batches:
                bar.update(len(places))
                yield [piece[place] for place in places], result
            start(device, pool)


def _read(method: str, *prompts: Any, **run: Any) -> tuple[list[tuple[list[int], Any]], int, int]:
    """All batches of a piece; how many prompts were read, and how many of them were cut."""
    bar, batches, (ended, reader) = Progress(disable=True), [], _HERE
    left = getattr(reader, method)(*prompts, bar=bar, **run)
    while not ended.value:
        if (batch := next(left, None)) is None:
            return batches, bar.read, bar.cut
        batches.append(batch)
    raise RuntimeError("the `with` has ended in which this encoder ran on several devices")


@contextmanager
def _alive(device: torch.device) -> Iterator[None]:
    """Say what to do where a process has ended."""
    try:
        yield
    except BrokenProcessPool as error:
        what = f"the process on {device} has ended, perhaps killed for want of memory"
        fix = "start again, and what was kept in `cache` is not read again"
        script = "A script needs `if __name__ == '__main__':` before what it runs"
        raise RuntimeError(f"{what}: {fix}. {script}") from error


def _pieces(reader: Reader, workers: list[Worker], texts: list[str], batch_size: int | None) -> list[list[int]]:
    """Indices of n prompts, long texts first, in pieces that never part the prompts of one text."""
    of_text: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        of_text.setdefault(text, []).append(i)
    enough = min(PROMPTS_AHEAD, -(-len(texts) // (PIECES * len(workers))), BATCHES * (batch_size or PROMPTS_AHEAD))
    tokens = BATCHES * (reader.max_tokens or min(MAX_TOKENS[device.type] for device, _ in workers))
    pieces, left = [[]], tokens
    for text in sorted(of_text, key=len, reverse=True):
        if len(pieces[-1]) >= enough or left <= 0:
            pieces.append([])
            left = tokens
        pieces[-1] += of_text[text]
        left -= len(of_text[text]) * min(AROUND + len(text) // 4, reader.checkpoint.max_length)  # more or less
    return pieces
