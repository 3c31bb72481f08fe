"""How prompts are laid out for a model: packed behind one another, each text once, or padded to one length."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from inbedder_utils.inference.batching import pad
from inbedder_utils.inference.packed_attention import Sequences, packed_attention
from inbedder_utils.inference.read_once import PADDING, TEXT, first_position, read_once_mask
from inbedder_utils.inference.text_memory import TextMemory

WINDOWS = ("sliding_window", "attention_chunk_size", "local_attention")
"""How configs call the number of tokens that one token sees at most."""


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
    def rows(self) -> list[list[int]]:
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


def readings(
    rows: Sequence[list[int]], splits: Sequence[int], max_tokens: int, *, share: bool = True, first: int = 0
) -> list[Reading]:
    """Bring prompts together that begin with the same text.

    Args:
        rows: ids of n prompts.
        splits: for each the number of tokens that may be shared; 0 if none.
        max_tokens: a text with so many questions that they cost more is read several times.
        share: whether to bring any together.
        first: index of the first prompt.

    Returns:
        Readings that hold every prompt once, with one question at least.
    """
    alike: dict[tuple[int, ...] | int, list[int]] = {}
    for i, (row, split) in enumerate(zip(rows, splits, strict=True)):
        alike.setdefault(tuple(row[:split]) if share and split else i, []).append(i)
    return [
        Reading([first + i for i in some], rows[some[0]][: splits[some[0]]], [rows[i][splits[i] :] for i in some])
        for indices in alike.values()
        for some in _pieces(indices, rows, splits, max_tokens)
    ]


def _pieces(
    indices: list[int], rows: Sequence[list[int]], splits: Sequence[int], max_tokens: int
) -> Iterator[list[int]]:
    piece: list[int] = []
    n_rests = 0
    for i in indices:
        n_rests += len(rows[i]) - splits[i]
        if piece and _cost(splits[i], n_rests, len(piece) + 1) > max_tokens:
            yield piece
            piece, n_rests = [], len(rows[i]) - splits[i]
        piece.append(i)
    yield piece


@dataclass(frozen=True)
class Layout:
    """A batch of prompts as a model reads it.

    Attributes:
        inputs: for the model, (B, T) each; masks (B, 1, T, T).
        places: for each prompt, where its tokens stand in hidden states of shape (B * T, H).
        sequences: of a packed row; None for a padded batch.
        texts: the texts in a packed row, and their tokens in it.
    """

    inputs: dict[str, Tensor]
    places: list[np.ndarray]
    sequences: Sequences | None = None
    texts: Sequence[tuple[list[int], slice]] = ()


def packed(
    batch: Sequence[Reading],
    config: object,
    device: torch.device,
    *,
    causal: bool,
    memory: TextMemory | None = None,
    depth: int = 0,
) -> Layout:
    """One row without padding: each text, and behind it what follows it in each of its prompts.

    Args:
        batch: what to read.
        config: of the model.
        device: of the model.
        causal: whether a token sees no later ones.
        memory: texts that it has as deep as `depth` are not read again; their places in the layout are -1.
        depth: number of layers that will be read.
    """
    remembered = [bool(memory) and memory.has(reading.text, depth) for reading in batch]
    known = [reading.text for reading, has in zip(batch, remembered, strict=True) if has]
    row = _Row(first_position(config), sum(map(len, known)))
    places, new, past = [], [], 0
    for reading, has in zip(batch, remembered, strict=True):
        text = np.arange(0)
        if has:
            text = np.arange(past, past + len(reading.text))
            past += len(text)
        elif reading.text:
            new.append((reading.text, slice(len(row.ids), len(row.ids) + len(reading.text))))
            text = row.add(reading.text, text)
        places += [np.maximum(row.add(rest, text) - row.past, -1) for rest in reading.rests]
    inputs = {
        "input_ids": torch.tensor(row.ids).to(device)[None],
        "position_ids": torch.from_numpy(np.concatenate(row.positions)).to(device)[None],
    }
    seen = torch.from_numpy(np.concatenate(row.seen)).to(device) if any(reading.text for reading in batch) else None
    seen_stops = np.cumsum([len(some) for some in row.seen]).tolist()
    states = memory.states(known, depth) if memory else {}
    caught = {} if new and memory and not memory.is_full else None
    return Layout(inputs, places, Sequences(row.stops, seen, seen_stops, causal, device, states, caught), new)


class _Row:
    """A packed row in the making.

    Attributes:
        ids, positions: of its tokens.
        stops, seen: where each sequence ends, and the tokens that it sees, counted from the past on.
        past: number of tokens that are remembered, and not in the row.
    """

    def __init__(self, first_position: int, past: int) -> None:
        self.first_position, self.past = first_position, past
        self.ids: list[int] = []
        self.positions: list[np.ndarray] = []
        self.stops: list[int] = []
        self.seen: list[np.ndarray] = []

    def add(self, tokens: list[int], text: np.ndarray) -> np.ndarray:
        """Add a sequence that sees itself and a text before it; return what it sees."""
        own = np.arange(len(self.ids), len(self.ids) + len(tokens)) + self.past
        self.ids.extend(tokens)
        self.positions.append(np.arange(len(text), len(text) + len(tokens)) + self.first_position)
        self.stops.append(len(self.ids))
        self.seen.append(np.concatenate([text, own]))
        return self.seen[-1]


def padded(batch: Sequence[Reading], lm: nn.Module, pad_id: int, *, causal: bool, read_once: bool = False) -> Layout:
    """A row for each prompt, with padding on the right.

    Args:
        batch: what to read; texts are read once for each prompt.
        lm: the model.
        pad_id: what padding is made of.
        causal: no token sees what is on its right, so that nothing need hide the padding.
        read_once: no text sees what follows it.
    """
    rows = [row for reading in batch for row in reading.rows]
    ids, mask = pad(rows, pad_id, device=lm.device)
    width = ids.shape[1]
    places = [np.arange(len(row)) + i * width for i, row in enumerate(rows)]
    if causal:
        return Layout({"input_ids": ids}, places)
    if not read_once:
        return Layout({"input_ids": ids, "attention_mask": mask}, places)
    columns = torch.arange(width)
    stops = torch.tensor([len(reading.text) for reading in batch for _ in reading.rests])[:, None]
    lengths = torch.tensor(list(map(len, rows)))[:, None]
    segments = torch.where(columns < stops, TEXT, 1).masked_fill(columns >= lengths, PADDING).to(ids.device)
    inputs = {
        "input_ids": ids,
        "attention_mask": read_once_mask(segments, lm.dtype),
        "position_ids": (columns + first_position(lm.config)).expand_as(ids).to(ids.device),
    }
    return Layout(inputs, places)


@torch.inference_mode()
def can_pack(stack: nn.Module, max_length: int, *, causal: bool) -> bool:
    """Try on three short prompts whether a model gives the same states packed as one by one.

    Args:
        stack: a model without its LM head.
        max_length: most tokens in a prompt and its answer; a window of attention that is narrower is beyond packing.
        causal: whether it is a decoder.
    """
    windows = [getattr(stack.config, name, None) for name in WINDOWS]
    if stack.config._attn_implementation != "sdpa" or any(window and window < max_length for window in windows):
        return False
    shared = Reading([0, 1], [5, 9, 6], [[7, 8, 4], [3]])
    if not causal:
        shared = replace(shared, text=[], rests=shared.rows)
    batch = [shared, Reading([2], [], [[8, 4, 7, 5, 3]])]
    layout = packed(batch, stack.config, stack.device, causal=causal)
    settings = {"use_cache": False} if causal else {}
    rows = [torch.tensor([row], device=stack.device) for reading in batch for row in reading.rows]
    try:
        alone = torch.cat([stack(input_ids=row, **settings).last_hidden_state[0] for row in rows])
        with packed_attention(stack, layout.sequences):
            together = stack(**layout.inputs, **settings).last_hidden_state[0]
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever an architecture can't do: padding can
        return False
    found = torch.cat([together[torch.from_numpy(places).to(stack.device)] for places in layout.places])
    tolerance = 1e-3 if stack.dtype == torch.float32 else 5e-2
    return bool((found - alone).norm() <= tolerance * alone.norm())
