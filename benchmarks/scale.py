"""Does a corpus cost time in proportion to its size, and how much memory? One fresh process per size.

Short made-up messages come from a generator, and their vectors go to a file (`encode(..., out=file)`); memory is the
peak of the resident memory of a process, in which libraries, model and a first 2,000 texts ("MB before") count too.

    python benchmarks/scale.py                                # 1,000, 10,000 and 100,000 texts with `tiny`
    python benchmarks/scale.py --sizes 10000 1000000 --layer 1

Prints a table; writes results/speed/scale_<checkpoint>_layer<n>.json and, from three sizes on, figures/scale.png.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from encode_throughput import RESULTS, machine

FIGURES = Path(__file__).parents[1] / "figures"
ENCODE = """
import json, resource, sys, time
from inbedder_utils import load_encoder
n, checkpoint, layer, out = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
encoder = load_encoder(checkpoint, layer=layer, device="cpu")
texts = lambda n: (f"Order {i} came {i % 30} days late, and the lid of box {i % 7} is loose." for i in range(n))
encoder.encode(texts(2_000), "How does the customer feel?", out=out)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = peak(), time.perf_counter()
encoder.encode(texts(n), "How does the customer feel?", out=out)
print(json.dumps({"texts": n, "seconds": time.perf_counter() - start, "MB before": before, "MB at the peak": peak()}))
"""


def main() -> None:
    """Measure all sizes, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--layer", type=int, default=-1)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in args.sizes:
            given = [str(n), args.checkpoint, str(args.layer), f"{folder}/vectors.npy"]
            done = subprocess.run([sys.executable, "-c", ENCODE, *given], check=True, capture_output=True, text=True)
            rows.append({name: round(value, 2) for name, value in json.loads(done.stdout).items()})
            print(rows[-1], flush=True)
    report = machine(torch.device("cpu")) | {"checkpoint": args.checkpoint, "layer": args.layer, "sizes": rows}
    name = f"scale_{args.checkpoint}_layer{args.layer}.json"
    (RESULTS / name).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if len(rows) > 2:
        draw(rows, args.checkpoint)


def draw(rows: list[dict[str, float]], checkpoint: str) -> None:
    """Time and memory by number of texts, both axes logarithmic."""
    import matplotlib.pyplot as plt

    from inbedder_utils.plots import use_style

    use_style()
    n = [row["texts"] for row in rows]
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    left.loglog(n, [row["seconds"] for row in rows], "o-", label="measured")
    left.loglog(n, [rows[-1]["seconds"] * size / n[-1] for size in n], "k:", label="in proportion")
    left.set(xlabel="texts", ylabel="seconds", title=f"Time to encode with {checkpoint}")
    left.legend()
    peaks = [row["MB at the peak"] for row in rows]
    right.semilogx(n, peaks, "s-")
    right.set(xlabel="texts", ylabel="MB", title="Resident memory at the peak", ylim=(0, 1.3 * max(peaks)))
    fig.savefig(FIGURES / "scale.png", dpi=150)


if __name__ == "__main__":
    main()
