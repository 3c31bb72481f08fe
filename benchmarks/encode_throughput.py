"""One forward pass against the original method: the same model, texts and machine, in one run.

The original method generates three tokens and keeps all hidden states, 32 texts at a time, and then takes one vector
per text; it is timed with the texts as they come, and sorted by length as the original code sorts them. `encode` runs
the prompt once, keeps one state, and fills batches by tokens.

    python benchmarks/encode_throughput.py                     # OPT-125m's shape with random weights, float32
    python benchmarks/encode_throughput.py --dtype bfloat16
    python benchmarks/encode_throughput.py --checkpoint tiny   # a checkpoint as it is

Prints a table and writes benchmarks/results/encode_throughput_<checkpoint>_<dtype>.json.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import OPTConfig, OPTForCausalLM

from inbedder_utils import load_encoder
from inbedder_utils.batching import pad
from inbedder_utils.causal import CausalEncoder
from inbedder_utils.datasets import QUESTIONS, corpus
from inbedder_utils.registry import Checkpoint

RESULTS = Path(__file__).parent / "results"
QUESTION = "What is the text about?"


def ragged_texts(n: int, seed: int = 0) -> list[str]:
    """Reviews, messages and news briefs, one to eight of them glued together."""
    texts = [text for domain in QUESTIONS for text in corpus(domain)["text"]]
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(texts, size=rng.integers(1, 9))) for _ in range(n)]


def opt_125m_shape(dtype: str, device: str | None) -> CausalEncoder:
    """OPT-125m with random weights, read through the bundled tokenizer."""
    tiny = load_encoder("tiny", device=device)
    torch.manual_seed(0)
    lm = OPTForCausalLM(OPTConfig(eos_token_id=None)).to(tiny.lm.device, getattr(torch, dtype))
    return CausalEncoder(lm, tiny.tokenizer, Checkpoint("opt-125m shape", "causal"))


@torch.inference_mode()
def original_method(encoder: CausalEncoder, texts: list[str], *, by_length: bool) -> np.ndarray:
    """Generate three tokens with every hidden state kept; batches of 32, perhaps sorted by length in characters."""
    order = np.argsort([-len(text) for text in texts]) if by_length else np.arange(len(texts))
    vectors = np.empty((len(texts), encoder.lm.config.hidden_size), np.float32)
    settings = {"max_new_tokens": 3, "do_sample": False, "output_hidden_states": True, "return_dict_in_generate": True}
    for start in range(0, len(texts), 32):
        indices = order[start : start + 32]
        rows = encoder.prompt_ids([texts[i] for i in indices], [QUESTION] * len(indices))
        ids, mask = pad(rows, encoder.pad_id, side="left", device=encoder.lm.device)
        out = encoder.lm.generate(ids, attention_mask=mask, pad_token_id=encoder.pad_id, **settings)
        vectors[indices] = out.hidden_states[0][-1][:, -1].float().cpu()
    return vectors


def machine(encoder: CausalEncoder) -> dict[str, str]:
    """What the numbers were measured on."""
    device = encoder.lm.device
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        amx = ", AMX" if torch.cpu._is_amx_tile_supported() else ""
        where = f"{platform.machine()} CPU, {torch.get_num_threads()} threads{amx}"
    return {"machine": where, "torch": torch.__version__, "transformers": transformers.__version__}


def seconds(run: Callable[[list[str]], np.ndarray], texts: list[str], repeats: int) -> tuple[float, np.ndarray]:
    """The fastest of some runs, after a short one to warm up."""
    run(texts[:4])
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        vectors = run(texts)
        times.append(time.perf_counter() - start)
    return min(times), vectors


def main() -> None:
    """Run both ways and report their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a name or folder; default: OPT-125m's shape with random weights")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument("--texts", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    if args.checkpoint:
        encoder = load_encoder(args.checkpoint, dtype=args.dtype, device=args.device)
    else:
        encoder = opt_125m_shape(args.dtype, args.device)
    texts = ragged_texts(args.texts)
    lengths = [len(row) for row in encoder.prompt_ids(texts, [QUESTION] * len(texts))]
    as_they_come, _ = seconds(lambda some: original_method(encoder, some, by_length=False), texts, args.repeats)
    by_length, expected = seconds(lambda some: original_method(encoder, some, by_length=True), texts, args.repeats)
    ours, vectors = seconds(lambda some: encoder.encode(some, QUESTION), texts, args.repeats)
    difference = np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)
    report = {
        "checkpoint": encoder.checkpoint.name,
        "dtype": args.dtype,
        **machine(encoder),
        "texts": len(texts),
        "tokens": sum(lengths),
        "tokens per text": f"{min(lengths)} to {max(lengths)}",
        "original method as they come, seconds": round(as_they_come, 2),
        "original method by length, seconds": round(by_length, 2),
        "encode, seconds": round(ours, 2),
        "encode, texts per second": round(len(texts) / ours, 1),
        "times faster than as they come": round(as_they_come / ours, 2),
        "times faster than by length": round(by_length / ours, 2),
        "largest relative difference of an embedding": float(f"{difference.max():.1e}"),
    }
    for name, value in report.items():
        print(f"{name:45} {value}")
    RESULTS.mkdir(exist_ok=True)
    name = f"encode_throughput_{encoder.checkpoint.name.replace('/', '--').replace(' ', '_')}_{args.dtype}.json"
    (RESULTS / name).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
