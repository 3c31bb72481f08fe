"""Prompts brought together by their text, in batches as large as a budget of tokens allows."""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Item = TypeVar("Item")
OUT_OF_MEMORY = ("MPS backend out of memory", "not enough memory", "can't allocate memory")
"""What torch's errors for Apple's GPUs and for the CPU's memory say."""


class Way(Enum):
    """How prompts make a batch, the best way first."""

    PACKED = "behind one another, each text once"
    PADDED = "padded to the length of the longest"
    EQUAL = "of one length"
    ALONE = "one at a time"


@dataclass(frozen=True)
class Reading:
    """A text, and what follows it in one prompt or several.

    Attributes:
        indices: which prompts these are.
        text: ids that they all begin with, read once for all; empty if there is nothing to share.
        rests: for each prompt the ids that follow.
    """

    indices: list[int]
    text: list[int]
    rests: list[list[int]]

    @property
    def cost(self) -> int:
        """What counts of a batch's budget."""
        return _cost(len(self.text), sum(map(len, self.rests)), len(self.rests))

    @property
    def prompts(self) -> list[list[int]]:
        """The whole prompts."""
        return [self.text + rest for rest in self.rests]

    def without(self, done: Collection[int]) -> "Reading":
        """The same with those prompts only whose indices are not among `done`."""
        left = [(i, rest) for i, rest in zip(self.indices, self.rests, strict=True) if i not in done]
        return Reading([i for i, _ in left], self.text, [rest for _, rest in left])

    def halves(self) -> list["Reading"]:
        """The same in two, each with half of the prompts."""
        half = len(self.rests) // 2
        return [Reading(self.indices[part], self.text, self.rests[part]) for part in (slice(half), slice(half, None))]


def _cost(text: int, rests: int, n: int) -> int:
    """Tokens that are read; or, if that is more, a quarter of those that are seen, a text again by each question.

    Keys and values of what is seen are laid out anew in every attention, and take memory too.
    """
    return max(text + rests, (text * (n + 1) + rests) // 4)


def group_by_text(
    prompts: Sequence[list[int]], splits: Sequence[int], max_tokens: int, *, share: bool = True, first: int = 0
) -> list[Reading]:
    """Bring prompts together that begin with the same text: readings that hold every prompt once.

    Args:
        prompts: ids of n prompts.
        splits: for each the number of tokens that may be shared; 0 if none.
        max_tokens: a text with so many questions that they cost more is read several times.
        share: whether to bring any together.
        first: index of the first prompt.
    """
    alike: dict[tuple[int, ...] | int, list[int]] = {}
    for i, (prompt, split) in enumerate(zip(prompts, splits, strict=True)):
        alike.setdefault(tuple(prompt[:split]) if share and split else i, []).append(i)
    return [
        Reading(
            [first + i for i in piece],
            prompts[piece[0]][: splits[piece[0]]],
            [prompts[i][splits[i] :] for i in piece],
        )
        for indices in alike.values()
        for piece in _pieces(indices, prompts, splits, max_tokens)
    ]


def _pieces(
    indices: list[int], prompts: Sequence[list[int]], splits: Sequence[int], max_tokens: int
) -> Iterator[list[int]]:
    piece: list[int] = []
    n_rests = 0
    for i in indices:
        n_rests += len(prompts[i]) - splits[i]
        if piece and _cost(splits[i], n_rests, len(piece) + 1) > max_tokens:
            yield piece
            piece, n_rests = [], len(prompts[i]) - splits[i]
        piece.append(i)
    yield piece


@dataclass
class Budget:
    """What a batch may hold; it shrinks when memory runs out, and stays so.

    Attributes:
        max_tokens: most tokens in a batch; a single longer reading still runs.
        batch_size: if given, readings per batch, instead of `max_tokens`.
        way: packed readings take their own tokens, padded ones as many as the longest of their batch.
        shrunk: whether memory has run out.
    """

    max_tokens: int
    batch_size: int | None = None
    way: Way = Way.PADDED
    shrunk: bool = False

    def batch_length(self, costs: np.ndarray) -> int:
        """How many of the first readings make one batch, at least one; `costs` fall."""
        if self.way is Way.ALONE:
            return 1
        if self.way is Way.EQUAL:
            costs = costs[costs == costs[0]]
        if self.batch_size:
            return min(self.batch_size, len(costs))
        if self.way is not Way.PACKED:
            return max(1, min(len(costs), self.max_tokens // max(1, int(costs[0]))))
        return max(1, int(np.searchsorted(costs.cumsum(), self.max_tokens, side="right")))

    def halve(self, costs: np.ndarray) -> None:
        """Ask for half of a batch that did not fit."""
        half = len(costs) // 2
        if not self.shrunk:
            warnings.warn(f"out of memory with {len(costs)} texts at once; going on with {half}", stacklevel=3)
        tokens = int(costs.sum()) // 2 if self.way is Way.PACKED else half * int(costs[0])
        self.batch_size, self.max_tokens, self.shrunk = half if self.batch_size else None, tokens, True


def run_batches(
    readings: Sequence[Reading], step: Callable[[list[Reading]], Any], budget: Budget
) -> Iterator[tuple[list[Reading], Any]]:
    """Call `step` on batches of readings, those that cost most first; yield each batch and its result.

    Raises:
        RuntimeError: torch's own, if a single prompt does not fit into memory. A larger batch that does not fit is
            halved, with one warning, and so are all after it; of a single reading, the prompts are.
    """
    queue, start = sorted(readings, key=lambda reading: -reading.cost), 0
    costs = np.array([reading.cost for reading in queue])
    while start < len(queue):
        stop = start + budget.batch_length(costs[start:])
        batch = queue[start:stop]
        try:
            result = step(batch)
        except RuntimeError as error:
            if not ran_out_of_memory(error) or len(batch) == len(batch[0].rests) == 1:
                raise
        else:
            yield batch, result
            start = stop
            continue
        for backend in (torch.cuda, torch.mps):
            if backend.is_available():
                backend.empty_cache()  # outside the handler, where the failed step's tensors are gone
        if len(batch) > 1:
            budget.halve(costs[start:stop])
        else:
            queue[start:stop] = batch[0].halves()
            costs = np.concatenate([costs[:start], [half.cost for half in queue[start : start + 2]], costs[stop:]])


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether that is what went wrong; only CUDA has an error of its own for it."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(words in said for words in OUT_OF_MEMORY)


def one_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Prepare the next item in a thread while this one is worked on; none may be None."""
    with ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item


def pad(
    rows: Sequence[Sequence[int]], value: int, *, side: str = "right", device: torch.device
) -> tuple[Tensor, Tensor]:
    """Bring rows to one length.

    Returns:
        ids and attention mask, both (B, T) int64.
    """
    width = max(map(len, rows))
    ids = np.full((len(rows), width), value, dtype=np.int64)  # (B, T)
    mask = np.zeros_like(ids)  # (B, T)
    for i, row in enumerate(rows):
        span = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[i, span], mask[i, span] = row, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)  # (B, T), (B, T)
