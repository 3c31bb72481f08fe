"""Attention over packed rows: the tokens of many sequences stand behind one another, and there is no padding.

A row of three sequences: a text, and two questions that each see the text and themselves.

    row          A A A A A 1 1 2 2 2
    stops                5   7     10      where each sequence ends in the row
    seen         A A A A A|A A A A A 1 1|A A A A A 2 2 2
    seen_stops           5            12              20
    attention    A to A    1 to A and 1  2 to A and 2     one call each, or one for all on CUDA
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from inbedder_utils.inference.text_memory import States

NAME = "inbedder_packed"
NOT_ALL_HERE = ("softcap", "s_aux", "position_bias")
"""What some architectures want of attention besides scores and values; they are not packed."""


@dataclass(frozen=True)
class Sequences:
    """The sequences of a packed row, and what each of them sees.

    Attributes:
        stops: where each sequence ends; it begins where the one before it ends.
        seen: (K,) int64, the tokens that the sequences see, one sequence after the other; each sees itself, as its
            last tokens. None if each sees nothing else.
        seen_stops: where the tokens that a sequence sees end in `seen`.
        causal: whether a token sees no later ones of its sequence.
        device: of the model.
        past: keys and values of tokens that are not in the row; they are counted before it in `seen`.
        caught: the row's keys and values are put here, if it is not None.
        calls: how often each module has attended in this pass; some do twice (DiffLlama), or serve several layers.
    """

    stops: list[int]
    seen: Tensor | None
    seen_stops: list[int]
    causal: bool
    device: torch.device
    past: States = field(default_factory=dict)
    caught: States | None = None
    calls: Counter[nn.Module] = field(default_factory=Counter)

    @cached_property
    def masks(self) -> list[Tensor | None]:
        """For causal sequences that see more than themselves: (own, seen) bool, True where a token is seen."""
        masks: list[Tensor | None] = []
        for (start, stop), (first, last) in zip(_spans(self.stops), _spans(self.seen_stops), strict=True):
            own, seen = stop - start, last - first
            visible = None
            if self.causal and own < seen:
                everything = torch.ones(own, seen, dtype=torch.bool, device=self.device)  # (own, seen)
                visible = everything.tril(seen - own)  # (own, seen)
            masks.append(visible)
        return masks

    @cached_property
    def offsets(self) -> dict[str, Any]:
        """The same for torch's kernel for sequences of various length on CUDA."""
        both = [0, *self.stops], [0, *self.seen_stops]
        longest = [max(b - a for a, b in zip(stops, stops[1:], strict=False)) for stops in both]
        on_device = [torch.tensor(stops, dtype=torch.int32, device=self.device) for stops in both]  # (sequences + 1,)
        return dict(zip(("cu_seq_q", "cu_seq_k", "max_q", "max_k"), on_device + longest, strict=True))


_SEQUENCES: ContextVar[Sequences] = ContextVar("sequences")
_WITHOUT_KERNEL: set[tuple[Any, ...]] = set()
"""Types, head sizes and devices for which torch's CUDA kernel has failed."""


@contextmanager
def packed_attention(stack: nn.Module, sequences: Sequences | None) -> Iterator[None]:
    """Let a model attend within the sequences of one packed row; with None, as it always does."""
    if sequences is None:
        yield
        return
    own = stack.config._attn_implementation
    token = _SEQUENCES.set(sequences)
    stack.config._attn_implementation = NAME
    try:
        yield
    finally:
        stack.config._attn_implementation = own
        _SEQUENCES.reset(token)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function as transformers wants it: (1, heads, T, head size) in, (1, T, heads, head size) out."""
    sequences = _SEQUENCES.get()
    if any(kwargs.get(name) is not None for name in NOT_ALL_HERE):
        raise NotImplementedError("this attention has no soft caps, sinks or biases")
    call = module, sequences.calls[module]
    sequences.calls[module] += 1
    if sequences.caught is not None:
        sequences.caught[call] = key, value
    if sequences.past:
        past_key, past_value = sequences.past[call]  # (1, heads, past, head size)
        key = torch.cat([past_key, key], dim=2)  # (1, heads, past + T, head size)
        value = torch.cat([past_value, value], dim=2)  # (1, heads, past + T, head size)
    if sequences.seen is not None:
        key, value = key[:, :, sequences.seen], value[:, :, sequences.seen]  # (1, heads, K, head size)
    settings = {"scale": scaling, "enable_gqa": query.shape[1] != key.shape[1]}
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        attended = _attend_on_cuda(query, key, value, sequences, settings)
        if attended is not None:
            return attended, None
    out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])  # (1, T, heads, head size)
    spans = zip(_spans(sequences.stops), _spans(sequences.seen_stops), sequences.masks, strict=True)
    for (start, stop), (first, last), mask in spans:
        out[:, start:stop] = scaled_dot_product_attention(
            query[:, :, start:stop],
            key[:, :, first:last],
            value[:, :, first:last],
            attn_mask=mask,
            is_causal=sequences.causal and mask is None,
            **settings,
        ).transpose(1, 2)  # (1, own, heads, head size)
    return out, None


def _attend_on_cuda(
    query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, settings: dict[str, Any]
) -> Tensor | None:
    """All sequences in one call, (1, T, heads, head size); None where this machine's torch has no kernel for it."""
    from torch.nn.attention.varlen import varlen_attn

    kind = query.dtype, query.shape[-1], value.shape[-1], query.device
    if kind in _WITHOUT_KERNEL:
        return None
    flat = [tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value)]  # (T or K, heads, head size)
    window = (-1, 0) if sequences.causal else (-1, -1)
    try:
        return varlen_attn(*flat, **sequences.offsets, **settings, window_size=window)[None]  # (1, T, heads, head size)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        _WITHOUT_KERNEL.add(kind)
        return None


def _spans(stops: list[int]) -> list[tuple[int, int]]:
    return list(zip([0, *stops[:-1]], stops, strict=True))


AttentionInterface.register(NAME, _attend)
