"""Reading hidden states out of any transformers model, and turning vectors back into words through its LM head."""

import os
from collections.abc import Callable, Collection
from contextlib import contextmanager
from itertools import count
from threading import RLock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_LOCKS: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()


def alone_with(lm: nn.Module) -> RLock:
    """The lock of a model, for all that reads it through hooks, which threads share.

    It is no attribute of anything, for what holds a lock can't be copied or sent to another process.
    """
    return _LOCKS.setdefault(lm, RLock())


def _before_fork() -> None:
    """Wait for the batches that other threads are at: a copy of the process would keep their hooks, and their locks."""
    _HELD.extend(_LOCKS.values())
    for lock in _HELD:
        lock.acquire()


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().release()


_HELD: list[RLock] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class _DeepEnough(Exception):
    """Every wanted layer has been read; the rest of the model need not run."""


def blocks_of(stack: nn.Module) -> list[nn.Module]:
    """The transformer blocks of an encoder or decoder, in the order in which they run.

    Blocks that share their weights in groups, as ALBERT's do, are one module that comes again and again.

    Raises:
        ValueError: if no list of blocks is found.
    """
    config, n = stack.config, stack.config.num_hidden_layers
    depths = {n} | {getattr(config, name, n) for name in ("decoder_layers", "num_decoder_layers")}
    lists = [module for module in stack.modules() if isinstance(module, nn.ModuleList)]
    for module in lists:  # parents come before their children, so experts and heads are not mistaken
        if len(module) in depths:
            return list(module)
    for module in lists:
        if len(module) == getattr(config, "num_hidden_groups", None):
            return [module[i * len(module) // n] for i in range(n)]
    raise ValueError(f"{type(stack).__name__} keeps its {n} blocks in no ModuleList")


def read_layers(
    stack: nn.Module, layers: Collection[int], read: Callable[[int, Tensor], None], **inputs: Tensor
) -> None:
    """Run an encoder or decoder just as deep as the deepest wanted layer; hand the states (B, T, H) of each to `read`.

    Layer 0 is what enters the first block, layer l what leaves block l; the last is read after the final norm, as
    in transformers' `hidden_states`. `read` must not run the model itself. A ValueError refuses a model whose states
    are not one for each token.
    """
    blocks, deepest, calls = blocks_of(stack), max(layers), count()

    def hand_over(layer: int, states: Tensor) -> None:
        if states.shape[:1] != inputs["input_ids"].shape[:1] or states.shape[1] < inputs["input_ids"].shape[1]:
            raise ValueError(f"the states of {type(stack).__name__} are not one for each token")
        read(layer, states[:, : inputs["input_ids"].shape[1]])  # (B, T, H): Longformer adds padding of its own

    def before_block(module: nn.Module, args: tuple, kwargs: dict) -> None:
        if (layer := next(calls)) in layers:
            hand_over(layer, args[0] if args else kwargs["hidden_states"])
        if layer == deepest:
            raise _DeepEnough

    handles = [block.register_forward_pre_hook(before_block, with_kwargs=True) for block in dict.fromkeys(blocks)]
    try:
        last = stack(**inputs).last_hidden_state  # (B, T, H)
        if next(calls) != len(blocks):
            raise ValueError(f"{type(stack).__name__} runs its blocks in a way of its own")
        hand_over(len(blocks), last)
    except _DeepEnough:
        pass
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _ending_in(stack: nn.Module, states: Tensor):
    """Let `stack` return `states` (B, T, H) whatever it reads."""
    swapped = []

    def swap(module: nn.Module, args: tuple, output: dict) -> dict:
        output["last_hidden_state"] = states  # (B, T, H)
        swapped.append(True)
        return output

    handle = stack.register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()
        if not swapped:
            raise RuntimeError(f"the LM head does not read the output of {type(stack).__name__}: this is a bug")


@contextmanager
def only_states(stack: nn.Module, where: Tensor):
    """Let the LM head read the output of `stack` at some positions only, (B, T) bool: it gives (1, chosen, V).

    Yields:
        A list that will hold the states read, (chosen, H).
    """
    chosen: list[Tensor] = []

    def choose(module: nn.Module, args: tuple, output: dict) -> dict:
        chosen.append(output["last_hidden_state"][where])  # (chosen, H)
        output["last_hidden_state"] = chosen[-1].unsqueeze(0)  # (1, chosen, H)
        return output

    handle = stack.register_forward_hook(choose)
    try:
        yield chosen
    finally:
        handle.remove()


def lm_logits(lm: nn.Module, stack: nn.Module, states: Tensor) -> Tensor:
    """Logits (B, V) that a model's own LM head, scaling included, gives for last-layer states (B, H) of `stack`."""
    with _ending_in(stack, states.unsqueeze(1)):
        return lm(**_one_token(lm)).logits[:, -1]  # (B, V)


def lm_head_input(lm: nn.Module, stack: nn.Module, states: Tensor) -> Tensor:
    """What the vocabulary projection reads: last-layer states after the masked LM head's dense, gelu and norm.

    States of `stack`, whose output the head reads, and what is returned are (B, T, H).
    """
    seen: list[Tensor] = []

    def catch(module: nn.Module, args: tuple) -> None:
        seen.append(args[0])  # (B, T, H)
        raise _DeepEnough

    handle = lm.get_output_embeddings().register_forward_pre_hook(catch)
    try:
        with _ending_in(stack, states):
            lm(**_one_token(lm))
    except _DeepEnough:
        pass
    finally:
        handle.remove()
    return seen[0]


def _one_token(lm: nn.Module) -> dict[str, Tensor]:
    ids = torch.zeros(1, 1, dtype=torch.long, device=lm.device)  # (1, 1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return inputs | {"decoder_input_ids": ids} if lm.config.is_encoder_decoder else inputs
