"""Texts in and vectors out a window at a time, for a corpus of any length."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from inbedder_utils.checks import (
    as_iterator,
    as_list,
    as_path,
    checked_instructions,
    checked_questions,
    checked_texts,
    finite_vectors,
)
from inbedder_utils.storage.files import check_file_can_be_written, replacing
from inbedder_utils.storage.vector_cache import VectorCache

WINDOW = 8192
"""Texts that are in memory at once, with their vectors, where these go to a file."""
SECONDS_BETWEEN_PUTS = 1.0
"""New vectors wait for so long at most until they go to the store: each time costs some milliseconds."""


def windows(
    texts: Any, instruction: Any, *, at_once: bool = False, size: int | None = None
) -> tuple[int | None, Iterator[tuple[list[str], list[str]]]]:
    """Cut texts and their instructions, one for all or one per text, into windows (of `WINDOW` or another size).

    There is at least one, perhaps without texts. With them goes the number of texts, if it is known. Those of a list or
    tuple, or `at_once`, are all checked at the beginning, others as they come; errors are those of `checked_texts` and
    `checked_instructions`.
    """
    if at_once or isinstance(texts, list | tuple):
        texts = checked_texts(texts)
        instructions = checked_instructions(instruction, len(texts))
        size = size or WINDOW
        starts = range(0, max(1, len(texts)), size)
        return len(texts), ((texts[i : i + size], instructions[i : i + size]) for i in starts)
    one = isinstance(instruction, str)
    instructions = [instruction] if one else as_list("instruction", instruction, "pass one question, or a list")
    if instructions:
        checked_questions(instructions)
    return None, _streamed(as_iterator("texts", texts, "pass [text]"), instructions, one)


def _streamed(texts: Iterator[Any], instructions: list[str], one: bool) -> Iterator[tuple[list[str], list[str]]]:
    n = 0
    while window := checked_texts(list(islice(texts, WINDOW)), n):
        own = instructions * len(window) if one else instructions[n : n + len(window)]
        n += len(window)
        if len(own) < len(window):
            break
        yield window, own
    if not one and n != len(instructions):
        given = f"{len(instructions)} instructions for {n}{' or more' if window else ''} texts"
        raise ValueError(f"got {given}: pass one string for all, or one per text")
    if not n:
        yield [], []


def gathered(
    texts: list[str], questions: list[str], store: VectorCache | None, new_vectors: Callable[..., Any], bar: tqdm
) -> np.ndarray:
    """Vectors of n texts under n questions: those in the store, if any, and new ones, which go there.

    `new_vectors` is called with texts, questions, indices `done` and `bar`, which counts texts; it yields indices and
    (b, d) of the others. The result is (n, d) float32, in order.
    """
    if not texts:  # the width depends on model and layer: ask them
        return gathered([""], ["?"], None, new_vectors, type(bar)(disable=True))[:0]
    pairs = list(zip(texts, questions, strict=True))
    place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}  # what occurs twice is encoded once
    texts, questions = ([pair[i] for pair in place] for i in (0, 1))
    known = store.get(texts, questions) if store else [None] * len(texts)
    done = {i: vector for i, vector in enumerate(known) if vector is not None}
    vectors = np.empty((len(texts), len(next(iter(done.values())))), np.float32) if done else None
    with _putting(store, texts, questions) as put:
        for indices, batch in (
            new_vectors(texts, questions, done=done.keys(), bar=bar) if len(done) < len(texts) else ()
        ):
            if vectors is None:
                vectors = np.empty((len(texts), batch.shape[1]), np.float32)
            vectors[indices] = finite_vectors(batch, [texts[i] for i in indices])
            put(indices, batch)
    for i, vector in done.items():
        vectors[i] = vector
    bar.update(len(pairs) - len(texts) + len(done))
    return vectors if len(texts) == len(pairs) else vectors[[place[pair] for pair in pairs]]


@contextmanager
def _putting(store: VectorCache | None, texts: list[str], questions: list[str]) -> Iterator[Callable]:
    """What puts batches into a store: by and by, and the last of them when no more come, for whatever reason."""
    waiting: list[tuple[list[int], np.ndarray]] = []
    last = monotonic()

    def put_all() -> None:
        nonlocal last
        indices, batch = [i for some, _ in waiting for i in some], np.concatenate([vectors for _, vectors in waiting])
        waiting.clear()  # if they can't be put, they won't be later
        store.put([texts[i] for i in indices], [questions[i] for i in indices], batch)
        last = monotonic()

    def put(indices: list[int], batch: np.ndarray) -> None:
        if store:
            waiting.append((indices, batch))
            if monotonic() - last > SECONDS_BETWEEN_PUTS:
                put_all()

    try:
        yield put
    finally:
        if waiting:
            put_all()


def collected(parts: Iterable[np.ndarray], n: int | None, path: Path | None, k: int | None = None) -> np.ndarray:
    """Bring vectors, in parts of some rows, into one array; or into a .npy file, which is then mapped, read-only.

    Args:
        parts: at least one, each (b, d) float32; or (b * k, d), where the k vectors of a text stand together.
        n: number of texts; None if it is not known, which is for a file without `k`.
        path: the file appears, or is replaced, as a whole at the end.
        k: vectors of each text; None for one.

    Returns:
        (n, d), or with `k` (k, n, d).
    """
    if path is None:
        return _in_memory(parts, n, k)
    with replacing(path) as file:
        start = 0
        for part in parts:
            shape = (start, part.shape[1]) if k is None else (k, n, part.shape[1])
            file.seek(0)
            _write_header(file, shape)
            header = file.tell()
            for i in range(k or 1):
                file.seek(header + 4 * part.shape[1] * (i * (n or 0) + start))
                file.write(np.ascontiguousarray(part[i :: k or 1], dtype="<f4").data)
            start += len(part) // (k or 1)
        file.seek(0)
        _write_header(file, (start, *shape[1:]) if k is None else shape)
    return np.load(path, mmap_mode="r" if start else None)


def _in_memory(parts: Iterable[np.ndarray], n: int, k: int | None) -> np.ndarray:
    result, start = None, 0
    for part in parts:
        if k is None and len(part) == n:
            result = part[None]  # (1, n, d); it is the only one
            continue
        block = part.reshape(-1, k or 1, part.shape[1]).swapaxes(0, 1)  # (k, b, d)
        if result is None:
            result = np.empty((k or 1, n, part.shape[1]), np.float32)
        result[:, start : start + block.shape[1]] = block
        start += block.shape[1]
    return result[0] if k is None else result


def checked_npy(path: str | Path) -> Path:
    """Return the path if an array can be written there: else an OSError, or a ValueError if it doesn't end in .npy."""
    path = as_path("out", path)
    if path.suffix.lower() != ".npy":
        raise ValueError(f"out must be a .npy file, got {str(path)!r}; for tables, see inbedder_utils.cli.tables")
    check_file_can_be_written(path)
    return path


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    """NumPy leaves room in it for any number of rows, so that its length stays the same."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
