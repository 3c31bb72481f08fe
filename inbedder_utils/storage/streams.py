"""Texts in and vectors out a window at a time, for a corpus of any length."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from inbedder_utils.checks import as_iterator, as_list, as_path, checked_instructions, checked_questions, checked_texts
from inbedder_utils.storage.files import check_file_can_be_written, replacing

WINDOW = 8192
"""Texts that are in memory at once, with their vectors, where these go to a file."""
Item = TypeVar("Item")


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


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Prepare the next item in a thread while this one is worked on; none may be None."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item


def checked_npy(path: str | Path) -> Path:
    """Return the path if an array can be written there.

    Raises:
        OSError: if the folder is not there, or the file can't be written.
        ValueError: if the extension is not .npy.
    """
    path = as_path("out", path)
    if path.suffix.lower() != ".npy":
        raise ValueError(f"out must be a .npy file, got {str(path)!r}; for tables, see inbedder_utils.cli.tables")
    check_file_can_be_written(path)
    return path


def write_npy(path: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write an array part by part, in whole or not at all.

    Args:
        path: the file; one that is there is replaced at the end.
        parts: (n of the part, d) float32 each, at least one.

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
