"""How prompts are laid out for a model: packed behind one another, each text once, or padded to one length.

Two texts, A under the questions 1 and 2, B under 1. Packed they are one row, in which each question sees its own text:

    row        A A A A A 1 1 2 2 2 B B 1 1       (1, T)
    position   0 1 2 3 4 5 6 5 6 7 0 1 2 3
    the 2 sees A A A A A     2 2 2

Padded they are a row for each prompt, and A is read twice:

    A A A A A 1 1 .
    A A A A A 2 2 2                              (B, T)
    B B 1 1 . . . .

Where a memory has A, its five tokens are not in the row: their keys and values, kept from earlier, stand before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from inbedder_utils.inference.batching import Reading, pad
from inbedder_utils.inference.packed_attention import Sequences
from inbedder_utils.inference.read_once import PADDING, TEXT, first_position, read_once_mask
from inbedder_utils.inference.text_memory import TextMemory


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


def pack(
    batch: Sequence[Reading],
    config: object,
    device: torch.device,
    *,
    causal: bool,
    memory: TextMemory | None = None,
    depth: int = 0,
) -> Layout:
    """One row without padding: each text, and behind it what follows it in each of its prompts.

    Texts that the memory has as deep as `depth`, the number of layers that will be read, are not read again; their
    places in the layout are -1.
    """
    remembered = [memory is not None and memory.has(reading.text, depth) for reading in batch]
    known = [reading.text for reading, is_known in zip(batch, remembered, strict=True) if is_known]
    row = _Row(first_position(config), sum(map(len, known)))
    places, new, past = [], [], 0
    for reading, is_known in zip(batch, remembered, strict=True):
        text = np.arange(0)
        if is_known:
            text = np.arange(past, past + len(reading.text))
            past += len(text)
        elif reading.text:
            new.append((reading.text, slice(len(row.ids), len(row.ids) + len(reading.text))))
            text = row.add(reading.text, text)
        places += [np.maximum(row.add(rest, text) - row.past, -1) for rest in reading.rests]
    inputs = {
        "input_ids": torch.tensor(row.ids).to(device)[None],  # (1, T)
        "position_ids": torch.from_numpy(np.concatenate(row.positions)).to(device)[None],  # (1, T)
    }
    seen = None
    if any(reading.text for reading in batch):
        seen = torch.from_numpy(np.concatenate(row.seen)).to(device)  # (K,)
    seen_stops = np.cumsum(list(map(len, row.seen))).tolist()
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


def pad_prompts(
    batch: Sequence[Reading], lm: nn.Module, pad_id: int, *, causal: bool, read_once: bool = False
) -> Layout:
    """A row for each prompt, with padding on the right; a text is read once for each.

    In a causal model no token sees what is on its right, so that nothing need hide the padding; with `read_once` no
    text sees what follows it.
    """
    prompts = [prompt for reading in batch for prompt in reading.prompts]
    ids, mask = pad(prompts, pad_id, device=lm.device)  # (B, T), (B, T)
    width = ids.shape[1]
    places = [np.arange(len(prompt)) + i * width for i, prompt in enumerate(prompts)]
    if causal:
        return Layout({"input_ids": ids}, places)
    if not read_once:
        return Layout({"input_ids": ids, "attention_mask": mask}, places)
    columns = torch.arange(width)  # (T,)
    stops = torch.tensor([len(reading.text) for reading in batch for _ in reading.rests])[:, None]  # (B, 1)
    lengths = torch.tensor(list(map(len, prompts)))[:, None]  # (B, 1)
    segments = torch.where(columns < stops, TEXT, 1).masked_fill(columns >= lengths, PADDING)  # (B, T)
    inputs = {
        "input_ids": ids,
        "attention_mask": read_once_mask(segments.to(ids.device), lm.dtype),  # (B, 1, T, T)
        "position_ids": (columns + first_position(lm.config)).expand_as(ids).to(ids.device),  # (B, T)
    }
    return Layout(inputs, places)
