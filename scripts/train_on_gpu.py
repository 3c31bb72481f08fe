"""Train what takes a GPU: seeds of `mini`, and `small`, a causal checkpoint of the paper's own kind for laptops.

    python scripts/train_on_gpu.py [--seeds 3] [--small HuggingFaceTB/SmolLM2-135M-Instruct] [--output runs/gpu]

`small` is that base (Apache-2.0) with low-rank updates, on the data of `mini`; it is written whole. Of every run the
share of triplets of the natural texts' dev split that it tells apart is printed, and its minutes. A killed run goes on
when the same command is given again. `--max-steps 3 --device cpu --small FOLDER` tries everything out.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from inbedder_utils import load_encoder
from inbedder_utils.data import natural_rows
from inbedder_utils.evaluation import answer_triplets, awareness
from inbedder_utils.training import PRESETS, Preset, train


def small(base: str) -> Preset:
    """The recipe of `small`: answers of a few tokens, on what `mini` learns from."""
    reading = {"max_length": 256, "max_new_tokens": 5, "max_answer": 5}
    schedule = {"learning_rate": 3e-4, "batch_size": 128, "micro_batch": 32}
    return Preset("small", base, PRESETS["mini"].data, "inbedder_qa", **reading, **schedule)


def main() -> None:
    """Train and score every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", help="of mini, in place of its own")
    parser.add_argument(
        "--small", default="HuggingFaceTB/SmolLM2-135M-Instruct", help="base of small; '' leaves it out"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--device")
    args = parser.parse_args()
    triplets = answer_triplets(natural_rows("dev"))
    mini = replace(PRESETS["mini"], base=args.base or PRESETS["mini"].base)
    runs = [(mini, {"seed": seed}) for seed in range(args.seeds)]
    runs += [(small(args.small), {"lora": True})] if args.small else []
    for recipe, settings in runs:
        folder = args.output / f"{recipe.name}-{settings.get('seed', 0)}"
        start = time.perf_counter()
        if not (folder / "inbedder.json").is_file():
            train(preset=recipe, output=folder, max_steps=args.max_steps, device=args.device, **settings)
        minutes = (time.perf_counter() - start) / 60
        encoder = load_encoder(folder, device=args.device)
        share = 100 * awareness(encoder.encode, triplets)
        print(f"{folder}: {share:.1f}% of {len(triplets)} triplets of dev, {minutes:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
