"""What an embedding costs: `encode` against the original method, sentence-transformers, and the bare model.

All of these read the same ragged texts with the same model, in one run, in turns:

- original: generates three tokens with all hidden states kept (masked models: one pass with all hidden states kept),
  32 texts at a time in order of length, in float32, and takes one vector per text;
- sentence-transformers: its own `encode` on the same prompts, with the same model;
- floor: as many tokens, cut into rows of one length, so that there is no padding; bare forward passes, no tokenizing;
- encode: one question;
- four questions: `encode_many`, and the original method four times (its time is four times that of one question);
- with `--compile`, also `encode` with every block of the model compiled.

    python benchmarks/encode_throughput.py                                  # OPT-125m's shape, random weights
    python benchmarks/encode_throughput.py --model roberta-base --dtype bfloat16
    python benchmarks/encode_throughput.py --model llama-2-7b --device cuda --dtype bfloat16 --texts 500 --no-original

Prints a table and writes results/speed/encode_throughput_<model>_<device>_<dtype>.json, the name longer with
`--shortest` or `--compile`. The fastest of the repeats counts. With texts of 200 tokens and more (`--shortest 200`),
see what a further question costs.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, LlamaConfig, OPTConfig, RobertaConfig

from inbedder_utils import load_encoder
from inbedder_utils.data import QUESTIONS, corpus
from inbedder_utils.encoder import Encoder
from inbedder_utils.families import FAMILIES
from inbedder_utils.inference.batching import pad
from inbedder_utils.inference.hidden_states import blocks_of
from inbedder_utils.inference.reader import MAX_TOKENS
from inbedder_utils.registry import Checkpoint

Runs = dict[str, Callable[[list[str]], Any]]
RESULTS = Path(__file__).parents[1] / "results" / "speed"
ASKED = ["What is the text about?", "How does the writer feel?", "What should be done about it?", "Where was it?"]
OPT_SIZE = {"hidden_size": 2048, "ffn_dim": 8192, "word_embed_proj_dim": 2048, "num_hidden_layers": 24}
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 4096, "eos_token_id": None}
SHAPES = {
    "opt-125m": ("causal", OPTConfig(eos_token_id=None)),
    "opt-1.3b": ("causal", OPTConfig(**OPT_SIZE, num_attention_heads=32, eos_token_id=None)),
    "roberta-base": ("masked", RobertaConfig(max_position_embeddings=514)),
    "llama-2-7b": ("causal", LlamaConfig(eos_token_id=None)),
    "small-opt": ("causal", OPTConfig(**SMALL, ffn_dim=128, word_embed_proj_dim=64)),  # to try scripts out
    "small-llama": ("causal", LlamaConfig(**SMALL, intermediate_size=128)),
}


def ragged_texts(n: int, tokenizer: Any, shortest: int = 20, longest: int = 500, seed: int = 0) -> list[str]:
    """Reviews, messages and news briefs, glued together and cut to lengths drawn evenly, in tokens."""
    texts = [text for domain in QUESTIONS for text in corpus(domain)["text"]]
    rng = np.random.default_rng(seed)
    glued = [" ".join(rng.choice(texts, size=30)) for _ in range(n)]
    lengths = rng.integers(shortest, longest + 1, size=n)
    encoded = tokenizer(glued, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [text[: where[length - 1][1]] for text, where, length in zip(glued, encoded, lengths, strict=True)]


def random_encoder(name: str, dtype: str, device: str | None) -> Encoder:
    """A model of a real shape with random weights, read through a bundled tokenizer."""
    family, config = SHAPES[name]
    bundled = load_encoder("tiny" if family == "causal" else "mini", device=device)
    torch.manual_seed(0)
    auto = AutoModelForCausalLM if family == "causal" else AutoModelForMaskedLM
    with torch.device(bundled.lm.device):
        lm = auto.from_config(config, dtype=getattr(torch, dtype))
    reader, _ = FAMILIES[family]
    return Encoder(reader(lm, bundled.tokenizer, Checkpoint(f"{name} shape", family)))


@torch.inference_mode()
def original_method(encoder: Encoder, texts: list[str]) -> np.ndarray:
    """Batches of 32 in order of length in characters, every hidden state kept."""
    order = np.argsort([-len(text) for text in texts])
    vectors = np.empty((len(texts), encoder.lm.config.hidden_size), np.float32)
    generate = {
        "max_new_tokens": 3,
        "do_sample": False,
        "return_dict_in_generate": True,
        "pad_token_id": encoder.reader.pad_id,
    }
    for start in range(0, len(texts), 32):
        indices = order[start : start + 32]
        rows = encoder.prompt_tokenizer([texts[i] for i in indices], ASKED[:1] * len(indices))
        side = "left" if encoder.reader.causal else "right"
        ids, mask = pad(rows, encoder.reader.pad_id, side=side, device=encoder.lm.device)
        if encoder.reader.causal:
            out = encoder.lm.generate(ids, attention_mask=mask, output_hidden_states=True, **generate)
            states = out.hidden_states[0][-1][:, -1]
        else:
            hidden = encoder.lm(ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
            states = hidden[ids == encoder.tokenizer.mask_token_id].view(len(ids), -1, hidden.shape[-1]).mean(1)
        vectors[indices] = states.float().cpu()
    return vectors


def sentence_transformer(encoder: Encoder) -> Callable[[list[str]], np.ndarray]:
    """The same weights in a SentenceTransformer, which gets the filled prompts as its texts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    with tempfile.TemporaryDirectory() as folder:
        encoder.lm.base_model.save_pretrained(folder)
        tokenizer = load_encoder("tiny" if encoder.reader.causal else "mini", device="cpu").tokenizer
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        tokenizer.save_pretrained(folder)
        module = Transformer(folder, max_seq_length=512, model_kwargs={"dtype": encoder.lm.dtype})
    pooling = Pooling(encoder.lm.config.hidden_size, pooling_mode="lasttoken" if encoder.reader.causal else "mean")
    model = SentenceTransformer(modules=[module, pooling], device=str(encoder.lm.device))
    filled = encoder.prompt_tokenizer.prompt.fill
    return lambda texts: model.encode(["".join(filled(text, ASKED[0]).sides) for text in texts])


def floor(encoder: Encoder, texts: list[str]) -> Callable[[list[str]], None]:
    """Bare forward passes over as many tokens as the prompts have, in full rows of their mean length."""
    lengths = [len(row) for row in encoder.prompt_tokenizer(texts, ASKED[:1] * len(texts))]
    width, stack = round(np.mean(lengths)), encoder.reader.stack
    most = MAX_TOKENS[encoder.lm.device.type] * 4 // encoder.lm.dtype.itemsize
    n, at_once = round(sum(lengths) / width), max(1, most // width)
    ids = torch.randint(10, 1000, (n, width), device=encoder.lm.device)

    @torch.inference_mode()
    def run(_: list[str]) -> None:
        for rows in ids.split(at_once):
            stack(input_ids=rows, **({"use_cache": False} if encoder.reader.causal else {})).last_hidden_state[
                :, -1
            ].cpu()

    return run


def machine(device: torch.device) -> dict[str, str]:
    """What the numbers were measured on."""
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        amx = ", AMX" if torch.cpu._is_amx_tile_supported() else ", no AMX"
        where = f"{platform.machine()} CPU, {torch.get_num_threads()} threads{amx}"
    libraries = {library.__name__: library.__version__ for library in (torch, transformers, sentence_transformers)}
    return {"machine": where, **libraries}


def matrix_rate(device: torch.device, dtype: torch.dtype, size: int = 4096) -> float:
    """Floating-point operations per second of a large matrix product."""
    a = torch.randn(size, size, device=device).to(dtype)

    def sync() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    times = []
    for _ in range(4):
        sync()
        start = time.perf_counter()
        a @ a
        sync()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def in_turns(runs: Runs, texts: list[str], repeats: int) -> dict[str, float]:
    """The fastest of some runs of each, in seconds; a short run of each comes first, to warm up."""
    for run in runs.values():
        run(texts[:4])
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run(texts)
            times[name].append(time.perf_counter() - start)
    return {name: min(some) for name, some in times.items()}


def ways(encoder: Encoder, texts: list[str], args: argparse.Namespace) -> Runs:
    """All that is compared, by name."""
    runs: Runs = {
        "floor": floor(encoder, texts),
        "encode": lambda some: encoder.encode(some, ASKED[0]),
        "sentence-transformers": sentence_transformer(encoder),
        "encode_many, four questions": lambda some: encoder.encode_many(some, ASKED),
    }
    if args.compile:
        compiled = random_encoder(args.model, args.dtype, args.device)
        for block in blocks_of(compiled.reader.stack):
            block.forward = torch.compile(block.forward, dynamic=True)
        runs["compiled"] = lambda some: compiled.encode(some, ASKED[0])
    if args.original:
        full = random_encoder(args.model, "float32", args.device) if args.dtype != "float32" else encoder
        runs["original, float32"] = lambda some: original_method(full, some)
    return runs


def compared(seconds: dict[str, float]) -> dict[str, float]:
    """Ratios of those that were run."""
    one, many = seconds["encode"], seconds["encode_many, four questions"]
    ratios = {
        "encode, share of the floor's speed": seconds["floor"] / one,
        "four questions, times the cost of one": many / one,
    }
    for name in ("sentence-transformers", "compiled", "padded"):
        if name in seconds:
            ratios[f"encode against {name}"] = seconds[name] / one
    if (original := seconds.get("original, float32")) is not None:
        ratios |= {"encode against original": original / one, "four questions against original": 4 * original / many}
    return {name: round(value, 2) for name, value in ratios.items()}


def operations_per_token(stack: torch.nn.Module) -> int:
    """Of the matrices that every token meets; embeddings are looked up."""
    matrices = {id(p): p.numel() for p in stack.parameters() if p.ndim > 1}
    tables = {id(m.weight) for m in stack.modules() if isinstance(m, torch.nn.Embedding)}
    return 2 * sum(n for key, n in matrices.items() if key not in tables)


def measured(encoder: Encoder, texts: list[str], runs: Runs, repeats: int, size: int = 4096) -> dict[str, Any]:
    """All ways on the same texts, and how they compare; `size` is that of `matrix_rate`."""
    lengths = [len(row) for row in encoder.prompt_tokenizer(texts, ASKED[:1] * len(texts))]
    seconds = in_turns(runs, texts, repeats)
    per_second = sum(lengths) / seconds["encode"]
    fastest = matrix_rate(encoder.lm.device, encoder.lm.dtype, size)
    rate = operations_per_token(encoder.reader.stack) * per_second / fastest
    report = {
        "texts": len(texts),
        "tokens": sum(lengths),
        "tokens per prompt": f"{min(lengths)} to {max(lengths)}",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "tokens per second, encode": round(per_second),
        "ratios": compared(seconds),
        "share of the measured matrix rate": round(rate, 2),
    }
    if encoder.lm.device.type == "cuda":
        report["peak memory, GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return report


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="opt-125m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--shortest", type=int, default=20, help="tokens of the shortest text")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="also encode with every block of the model compiled")
    parser.add_argument("--original", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    encoder = random_encoder(args.model, args.dtype, args.device)
    settings = {"model": f"{args.model}'s shape, random weights", "dtype": args.dtype}
    texts = ragged_texts(args.texts, encoder.tokenizer, args.shortest)
    runs = ways(encoder, texts, args)
    report = settings | machine(encoder.lm.device) | measured(encoder, texts, runs, args.repeats)
    for name, value in report.items():
        for line, number in value.items() if isinstance(value, dict) else [(name, value)]:
            print(f"{line:40} {number}")
    long = f"_from_{args.shortest}" * (args.shortest != 20) + "_compiled" * args.compile
    file = RESULTS / f"encode_throughput_{args.model}_{encoder.lm.device.type}_{args.dtype}{long}.json"
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
