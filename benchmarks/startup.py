"""How soon is there a first result? Each in a fresh process, the fastest of some.

    python benchmarks/startup.py

Importing transformers alone loads next to nothing of it: what any of its models needs comes with the first model class.

Prints a table and writes results/speed/startup.json.
"""

import argparse
import json
import subprocess
import sys
import time

from encode_throughput import RESULTS, machine

STEPS = {
    "python": "pass",
    "import inbedder_utils": "import inbedder_utils",
    "import torch, transformers": "import torch, transformers",
    "import torch, a model of transformers": "import torch; from transformers import AutoTokenizer, BertForMaskedLM",
    "load mini": "from inbedder_utils import load_encoder; load_encoder()",
    "load mini, encode 100 short texts": (
        "from inbedder_utils import load_encoder\n"
        "texts = [f'Order {i} came {i % 30} days late, and the lid of box {i % 7} is loose.' for i in range(100)]\n"
        "load_encoder().encode(texts, 'How does the customer feel?')"
    ),
    "python -m inbedder_utils --help": None,
}


def seconds(code: str | None) -> float:
    """Wall time of one process."""
    command = [sys.executable, "-m", "inbedder_utils", "--help"] if code is None else [sys.executable, "-c", code]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure one step after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    fastest = {name: min(seconds(code) for _ in range(repeats)) for name, code in STEPS.items()}
    import torch

    report = machine(torch.device("cpu")) | {name: round(value, 2) for name, value in fastest.items()}
    first = fastest["load mini, encode 100 short texts"]
    for name in ("import torch, transformers", "import torch, a model of transformers"):
        report[f"first embeddings, beyond {name}"] = round(first - fastest[name], 2)
    for name, value in report.items():
        print(f"{name:60} {value}")
    (RESULTS / "startup.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
