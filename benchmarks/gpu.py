"""The parts of `benchmarks/gpu.sh`, each a process of its own; `report` puts together what they printed.

    python benchmarks/gpu.py encode           # Llama-2-7b's shape: packed and padded prompts, four questions
    python benchmarks/gpu.py flash            # the same shape with flash-attn, if that is installed
    python benchmarks/gpu.py train            # steps of OPT-1.3b's shape, by the package's own trainer
    python benchmarks/gpu.py distributed      # torchrun with one process: `tiny` trains, is saved, and loads
    python benchmarks/gpu.py report           # writes results/speed/gpu.json; exit code 1 if a part failed

Each part prints one line of JSON. All models but `tiny` have random weights, all tokenizers are bundled ones. With
`--device cpu` the shapes are small and the report goes to build/gpu/: that tries the script out, and measures nothing.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encode_throughput import (
    ASKED,
    RESULTS,
    floor,
    in_turns,
    machine,
    matrix_rate,
    measured,
    operations_per_token,
    ragged_texts,
    random_encoder,
)
from transformers import TrainerCallback

from inbedder_utils import load_encoder
from inbedder_utils.data import corpus
from inbedder_utils.encoder import Encoder
from inbedder_utils.inference.batching import Way
from inbedder_utils.training import PRESETS
from inbedder_utils.training.run import _trainer  # what `train` trains with, without its saving and evaluating

WORK = Path(__file__).parents[1] / "build" / "gpu"
RECIPE = PRESETS["opt-1.3b"]


@dataclass(frozen=True)
class Size:
    """How much is measured: names of shapes, texts, tokens of the longest, training steps, rows of a matrix."""

    encode: str
    train: str
    texts: int
    longest: int
    steps: int
    matrix: int


SIZES = {
    "cuda": Size("llama-2-7b", "opt-1.3b", texts=500, longest=500, steps=6, matrix=8192),
    "cpu": Size("small-llama", "small-opt", texts=12, longest=60, steps=3, matrix=256),
}


def encode(size: Size, device: str) -> dict[str, Any]:
    """One question with packed and with padded prompts, and four questions."""
    encoder = random_encoder(size.encode, "bfloat16", device)
    texts = ragged_texts(size.texts, encoder.tokenizer, longest=size.longest)
    padded = Encoder(type(encoder.reader)(encoder.lm, encoder.tokenizer, encoder.reader.checkpoint))
    padded.reader.trials.ways.discard(Way.PACKED)
    runs = {
        "floor": floor(encoder, texts),
        "encode": lambda some: encoder.encode(some, ASKED[0]),
        "padded": lambda some: padded.encode(some, ASKED[0]),
        "encode_many, four questions": lambda some: encoder.encode_many(some, ASKED),
    }
    report = {"model": f"{size.encode}'s shape", "packed": Way.PACKED in encoder.reader.trials.ways}
    return report | measured(encoder, texts, runs, repeats=2, size=size.matrix)


def flash(size: Size, device: str) -> dict[str, Any] | str:
    """One question with flash-attn's kernels, which read padded prompts; the texts are those of `encode`."""
    if importlib.util.find_spec("flash_attn") is None:
        return "not installed"
    encoder = random_encoder(size.encode, "bfloat16", device)
    encoder.lm.set_attn_implementation("flash_attention_2")
    texts = ragged_texts(size.texts, encoder.tokenizer, longest=size.longest)
    seconds = in_turns({"encode, flash-attn": lambda some: encoder.encode(some, ASKED[0])}, texts, repeats=2)
    return {"model": f"{size.encode}'s shape", "seconds": {name: round(value, 3) for name, value in seconds.items()}}


class Clock(TrainerCallback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the device, and look at the clock."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def train(size: Size, device: str) -> dict[str, Any]:
    """Steps of the paper's recipe, on texts that are all as long as the longest; nothing is evaluated or saved.

    A step counts as the median of all but the first, and as six operations per token and weight of a matrix.
    """
    start, clock, where = random_encoder(size.train, "float32", device), Clock(), torch.device(device)
    texts = ragged_texts(RECIPE.batch_size * size.steps, start.tokenizer, size.longest, size.longest)
    rows = [{"input": text, "instruction": ASKED[1], "output": "angry"} for text in texts]
    checkpoint = RECIPE.checkpoint("causal", start.reader.checkpoint)
    options = {"max_steps": size.steps, "eval_steps": None, "seed": 0, "device": where, "disable_tqdm": True}
    trainer = _trainer(RECIPE, checkpoint, start.lm, start.tokenizer, rows, rows[:1], WORK / "train", False, options)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.eval_on_start = False
    trainer.add_callback(clock)
    trainer.train()
    seconds = float(np.median(np.diff(clock.ends)))
    tokens = RECIPE.batch_size * np.mean([example["length"] for example in trainer.train_dataset])
    operations = 3 * operations_per_token(start.reader.stack) * tokens  # backward costs twice what forward does
    rate = operations / seconds / matrix_rate(where, torch.bfloat16, size.matrix)
    report = {
        "model": f"{size.train}'s shape",
        "bfloat16": trainer.args.bf16,
        "tokens per step": round(tokens),
        "seconds per step": round(seconds, 4),
        "tokens per second": round(tokens / seconds),
        "share of the measured matrix rate": round(rate, 2),
    }
    if device == "cuda":
        report["peak memory, GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return report


def distributed(size: Size, device: str) -> dict[str, Any]:
    """`tiny` is trained by torchrun with one process; the checkpoint must load, and embed."""
    folder = WORK / "distributed"
    shutil.rmtree(folder, ignore_errors=True)
    table = corpus("messages").rename(columns={"text": "input", "feeling": "output"})
    table.assign(instruction=ASKED[1]).to_json(WORK / "rows.jsonl", orient="records", lines=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    data = ["--base", "tiny", "--data", str(WORK / "rows.jsonl"), "--output", str(folder)]
    steps = ["--max-steps", str(size.steps), "--eval-steps", str(size.steps)]
    train = [*torchrun, "-m", "inbedder_utils", "train", *data, *steps, "--device", device, "--quiet"]
    subprocess.run(train, check=True)
    vectors = load_encoder(folder, device=device).encode(["The parcel never came."], ASKED[0])
    return {"steps": size.steps, "numbers in a vector": vectors.shape[1]}


PARTS: dict[str, Callable[[Size, str], Any]] = {part.__name__: part for part in (encode, flash, train, distributed)}


def result_of(part: str, device: str) -> tuple[Any, bool]:
    """What a part left in `WORK`, and whether it ended well; tests that were all skipped did so on the CPU only."""
    last = {"out": "", "err": ""}
    try:
        code, seconds = map(int, (WORK / f"{part}.ended").read_text().split())
        for stream in last:
            lines = (WORK / f"{part}.{stream}").read_text(encoding="utf-8", errors="replace").split("\n")
            last[stream] = next((line for line in reversed(lines) if line.strip()), "")
        if code:
            return {"failed": f"exit code {code} after {seconds} s", "last line": last["err"] or last["out"]}, False
        if part in PARTS:
            return json.loads(last["out"]), True
    except (OSError, ValueError) as error:
        return {"failed": f"no result: {error}", "last line": last["out"]}, False
    said = last["out"].strip("= ")
    return said, device == "cpu" or "passed" in said


def report(device: str) -> bool:
    """Write, print, and say whether all parts ended well."""
    results = {part: result_of(part, device) for part in ("tests", *PARTS)}
    failed = [part for part, (_, well) in results.items() if not well]
    whole = machine(torch.device(device)) | {"failed": failed} | {part: what for part, (what, _) in results.items()}
    text = json.dumps(whole, indent=2) + "\n"
    print(text, end="")
    ((RESULTS if device == "cuda" else WORK) / "gpu.json").write_text(text, encoding="utf-8")
    return not failed


def main() -> None:
    """Run one part, or report on all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "report"])
    parser.add_argument("--device", choices=SIZES, default="cuda")
    args = parser.parse_args()
    if args.part == "report":
        sys.exit(not report(args.device))
    print(json.dumps(PARTS[args.part](SIZES[args.device], args.device)))


if __name__ == "__main__":
    main()
