"""Texts in and vectors out a window at a time, for a corpus of any length."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from inbedder_utils.checks import as_iterator, as_list, as_path, checked_instructions, checked_questions, checked_texts
from inbedder_utils.storage.files import check_file_can_be_written, replacing
from inbedder_utils.storage.vector_cache import VectorCache

WINDOW = 8192
"""Texts that are in memory at once, with their vectors, where these go to a file."""


def windows(
    texts: Any, instruction: Any, *, at_once: bool = False
) -> tuple[int | None, Iterator[tuple[list[str], list[str]]]]:
    """Cut texts and their instructions, one for all or one per text, into windows: at least one, perhaps without texts.

    With them goes the number of texts, if it is known. Those of a list or tuple, or `at_once`, are all checked at the
    beginning, others as they come; errors are those of `checked_texts` and `checked_instructions`.
    """
    if at_once or isinstance(texts, list | tuple):
        texts = checked_texts(texts)
        instructions = checked_instructions(instruction, len(texts))
        starts = range(0, max(1, len(texts)), WINDOW)
        return len(texts), ((texts[i : i + WINDOW], instructions[i : i + WINDOW]) for i in starts)
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
    """Vectors of n texts under n questions: those in the store, if any, and new ones, each batch of which goes there.

    `new_vectors` is called with texts, questions, indices `done` and `bar`, which counts texts; it yields indices and
    (b, d) of the others. The result is (n, d) float32, in order.
    """
    if not texts:  # the width depends on model and layer: ask them
        return gathered([""], ["?"], None, new_vectors, tqdm(disable=True))[:0]
    pairs = list(zip(texts, questions, strict=True))
    place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}  # what occurs twice is encoded once
    texts, questions = (list(column) for column in zip(*place, strict=True))
    vectors = store.get(texts, questions) if store else [None] * len(texts)
    done = {i for i, vector in enumerate(vectors) if vector is not None}
    if len(done) < len(texts):
        for indices, batch in new_vectors(texts, questions, done=done, bar=bar):
            if store:
                store.put([texts[i] for i in indices], [questions[i] for i in indices], batch)
            for i, vector in zip(indices, batch, strict=True):
                vectors[i] = vector
    bar.update(len(pairs) - len(texts) + len(done))
    return np.stack([vectors[place[pair]] for pair in pairs])


def checked_npy(path: str | Path) -> Path:
    """Return the path if an array can be written there: else an OSError, or a ValueError if it doesn't end in .npy."""
    path = as_path("out", path)
    if path.suffix.lower() != ".npy":
        raise ValueError(f"out must be a .npy file, got {str(path)!r}; for tables, see inbedder_utils.cli.tables")
    check_file_can_be_written(path)
    return path


def write_npy(path: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write (n, d) float32 in parts of some rows, at least one; map it from the file, read-only.

    The file appears, or is replaced, as a whole at the end.
    """
    with replacing(path) as file:
        n = 0
        for part in parts:
            if not file.tell():
                _write_header(file, (0, part.shape[1]))
            file.write(np.ascontiguousarray(part, dtype="<f4").data)
            n, d = n + len(part), part.shape[1]
        file.seek(0)
        _write_header(file, (n, d))
    return np.load(path, mmap_mode="r" if n else None)


def _write_header(file: Any, shape: tuple[int, int]) -> None:
    """NumPy leaves room in it for any number of rows, so that its length stays the same."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
