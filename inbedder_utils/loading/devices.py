"""Where and in which precision a model runs, and which attention it can use there."""

import importlib.util
import os

import torch

from inbedder_utils.checks import one_of
from inbedder_utils.inference.devices import chosen_device


def training_device(device: str | torch.device | None) -> torch.device:
    """The device asked for; of several GPUs the Trainer takes the first, or the one that torchrun gives this process.

    A ValueError refuses what `chosen_device` does, a GPU by number, and several GPUs without torchrun.
    """
    chosen, gpus = chosen_device(device), torch.cuda.device_count()
    if chosen.index:
        raise ValueError(f"training can't choose device {str(chosen)!r}: set CUDA_VISIBLE_DEVICES={chosen.index}")
    if chosen.type == "cuda" and gpus > 1 and "WORLD_SIZE" not in os.environ:
        start = f"torchrun --nproc_per_node={gpus} -m inbedder_utils train ..."
        raise ValueError(f"this machine has {gpus} GPUs: start with {start}, or set CUDA_VISIBLE_DEVICES=0")
    return chosen


def chosen_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The type asked for, one of three (or a ValueError); left out, bfloat16 on CUDA and float32 elsewhere."""
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return getattr(torch, one_of("dtype", str(dtype).removeprefix("torch."), ("float32", "bfloat16", "float16")))


def check_attention(name: str | None, family: str, device: torch.device, dtype: torch.dtype) -> None:
    """Raise a ValueError if an attention implementation is unknown, or flash attention can't be had here."""
    if name is None:
        return
    if one_of("attn_implementation", name, ("eager", "sdpa", "flash_attention_2")) != "flash_attention_2":
        return
    if importlib.util.find_spec("flash_attn") is None:
        fix = "'pip install flash-attn --no-build-isolation' (CUDA toolchain needed), or use 'sdpa', part of torch"
        raise ValueError(f"attn_implementation='flash_attention_2' needs the flash-attn package: install it with {fix}")
    if device.type != "cuda" or dtype == torch.float32 or family == "seq2seq":
        suited = "causal and masked models on CUDA in bfloat16 or float16 only"
        given = f"{family} in {str(dtype).removeprefix('torch.')} on {device.type}"
        raise ValueError(f"flash_attention_2 runs {suited}, not {given}: use 'sdpa'")
