"""Texts in and vectors out a window at a time, for a corpus of any length."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from inbedder_utils.checks import as_iterator, as_list, as_path, checked_instructions, checked_questions, checked_texts
from inbedder_utils.storage.files import replacing
from inbedder_utils.storage.vector_cache import VectorCache

WINDOW = 8192
"""Texts that are in memory at once, with their vectors, where these go to a file."""


def windows(texts: Any, instruction: Any) -> tuple[int | None, Iterator[tuple[list[str], list[str]]]]:
    """Cut texts and their instructions into windows.

    Args:
        texts: strings; those of a list or tuple are all checked at once, others as they come.
        instruction: one for all texts, or a list of one per text.

    Returns:
        How many texts there are, if that is known; and at least one window, perhaps without texts.

    Raises:
        TypeError, ValueError: as `checked_texts` and `checked_instructions`; in a stream as late as that window.
    """
    if isinstance(texts, list | tuple):
        texts = checked_texts(texts)
        asked = checked_instructions(instruction, len(texts))
        starts = range(0, max(1, len(texts)), WINDOW)
        return len(texts), ((texts[i : i + WINDOW], asked[i : i + WINDOW]) for i in starts)
    one = isinstance(instruction, str)
    asked = [instruction] if one else as_list("instruction", instruction, "pass one question, or a list")
    if asked:
        checked_questions(asked)
    return None, _streamed(as_iterator("texts", texts, "pass [text]"), asked, one)


def _streamed(texts: Iterator[Any], asked: list[str], one: bool) -> Iterator[tuple[list[str], list[str]]]:
    n = 0
    while some := checked_texts(list(islice(texts, WINDOW)), n):
        own = asked * len(some) if one else asked[n : n + len(some)]
        n += len(some)
        if len(own) < len(some):
            break
        yield some, own
    if not one and n != len(asked):
        given = f"{len(asked)} instructions for {n}{' or more' if some else ''} texts"
        raise ValueError(f"got {given}: pass one string for all, or one per text")
    if not n:
        yield [], []


def gathered(
    texts: list[str], questions: list[str], store: VectorCache | None, new_vectors: Callable[..., Any], bar: tqdm
) -> np.ndarray:
    """Vectors of texts under questions, in order: those in the store, and new ones, each batch of which goes there.

    Args:
        texts: n strings.
        questions: n strings.
        store: what to look into; None for nothing.
        new_vectors: called with texts, questions, indices `done`, `bar`; yields indices and (b, d) of the others.
        bar: counts texts.

    Returns:
        (n, d) float32.
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
    """Return the path if an array can be written there.

    Raises:
        OSError: if the folder is not there, or the file can't be written.
        ValueError: if the extension is not .npy.
    """
    from inbedder_utils.cli.tables import check_output  # imports pandas

    if as_path("out", path).suffix.lower() != ".npy":
        raise ValueError(f"out must be a .npy file, got {str(path)!r}; for tables, see inbedder_utils.cli.tables")
    return check_output(path)


def write_npy(path: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write an array part by part, in whole or not at all.

    Args:
        path: the file; one that is there is replaced at the end.
        parts: (some, d) float32 each, at least one.

    Returns:
        (n, d), mapped from the file, read-only.
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
