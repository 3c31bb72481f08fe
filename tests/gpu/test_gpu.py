"""What only a GPU can show: precision, running out of memory, flash attention."""

import importlib.util
import warnings

import numpy as np
import pytest
import torch
from small_models import ASK, CAUSAL, EVERY, MASKED, OTHER, TEXTS

from inbedder_utils import load_encoder
from inbedder_utils.inference import packed_attention
from inbedder_utils.inference.batching import Way

pytestmark = pytest.mark.gpu


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", EVERY)
def test_bfloat16_on_cuda_is_the_default_and_close_to_float32_on_the_cpu(folder_of, encoder_of, name):
    encoder = load_encoder(folder_of(name))
    assert encoder.lm.device.type == "cuda" and encoder.lm.dtype == torch.bfloat16
    vectors = encoder.encode(TEXTS, ASK)
    assert vectors.dtype == np.float32
    assert cosines(vectors, encoder_of(name).encode(TEXTS, ASK)).min() > 0.98


@pytest.mark.parametrize("name", EVERY)
def test_float32_on_cuda_equals_the_cpu(folder_of, encoder_of, name):
    encoder = load_encoder(folder_of(name), device="cuda", dtype="float32")
    assert cosines(encoder.encode(TEXTS, ASK), encoder_of(name).encode(TEXTS, ASK)).min() > 0.9999


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CAUSAL + MASKED)
def test_packed_prompts_give_what_padded_ones_give(folder_of, name, dtype):
    packed = load_encoder(folder_of(name), device="cuda", dtype=dtype)
    padded = load_encoder(folder_of(name), device="cuda", dtype=dtype, attn_implementation="eager")
    assert Way.PACKED in packed.reader.trials.ways and Way.PACKED not in padded.reader.trials.ways
    assert cosines(packed.encode(TEXTS, ASK), padded.encode(TEXTS, ASK)).min() > 0.99
    together, alone = packed.encode_many(TEXTS, [ASK, OTHER]), padded.encode(TEXTS, OTHER)
    assert cosines(together[1], alone).min() > 0.99


def test_torchs_kernel_for_packed_rows_is_used():
    encoder = load_encoder("mini", device="cuda", dtype="bfloat16")
    encoder.encode_many(TEXTS, [ASK, OTHER])
    assert not packed_attention._WITHOUT_KERNEL


@pytest.mark.parametrize("name", ["llama", "mini"])
def test_remembered_texts_give_the_same(folder_of, name):
    encoder = load_encoder("mini" if name == "mini" else folder_of(name), device="cuda")
    remembering = encoder.remembering()
    for question in (ASK, OTHER):
        assert cosines(remembering.encode(TEXTS, question), encoder.encode(TEXTS, question)).min() > 0.99


def test_running_out_of_memory_halves_the_batches_and_loses_no_row(folder_of):
    encoder = load_encoder(folder_of("llama"), device="cuda", dtype="float32")
    texts = [f"{i} " * 60 for i in range(2_000)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = encoder.encode(texts, ASK, batch_size=16)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 200 * 2**20) / total)
        with pytest.warns(UserWarning, match="out of memory with"):
            vectors = encoder.encode(texts, ASK, batch_size=2_000)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert cosines(vectors, expected).min() > 0.9999


def test_processes_on_every_gpu_give_what_the_cpu_gives(folder_of):
    encoder = load_encoder(folder_of("llama"), device="cpu", dtype="bfloat16")
    devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    with encoder.on(devices if len(devices) > 1 else devices * 2) as spread:
        assert cosines(spread.encode(TEXTS * 9, ASK), encoder.encode(TEXTS * 9, ASK)).min() > 0.98


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is None, reason="flash-attn is not installed")
@pytest.mark.parametrize("name", ["llama", "roberta"])
def test_flash_attention_is_close_to_sdpa(folder_of, name):
    flash = load_encoder(folder_of(name), attn_implementation="flash_attention_2", device="cuda", dtype="bfloat16")
    plain = load_encoder(folder_of(name), device="cuda", dtype="bfloat16")
    assert "flash_attention_2" in repr(flash)
    assert cosines(flash.encode(TEXTS, ASK), plain.encode(TEXTS, ASK)).min() > 0.98
