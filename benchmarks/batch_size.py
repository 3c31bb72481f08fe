"""How many tokens should a batch hold? Encodes ragged texts with several budgets, in one run.

    python benchmarks/batch_size.py [--dtype bfloat16] [--device cuda]

Prints a table and writes benchmarks/results/batch_size_<device>_<dtype>.json. `inbedder_utils.encoder.MAX_TOKENS` holds
what it found.
"""

import argparse
import json
import time

from encode_throughput import QUESTION, RESULTS, machine, opt_125m_shape, ragged_texts


def main() -> None:
    """Time every budget, twice, and keep the faster run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument("--texts", type=int, default=48)
    parser.add_argument("--budgets", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192, 16384])
    args = parser.parse_args()
    encoder = opt_125m_shape(args.dtype, args.device)
    texts = ragged_texts(args.texts)
    tokens = sum(map(len, encoder.prompt_ids(texts, [QUESTION] * len(texts))))
    encoder.encode(texts[:8], QUESTION)
    fastest = dict.fromkeys(args.budgets, float("inf"))
    for _ in range(2):  # the budgets take turns, so that a busy moment does not fall on one of them alone
        for budget in args.budgets:
            encoder.max_tokens = budget
            start = time.perf_counter()
            encoder.encode(texts, QUESTION)
            fastest[budget] = min(fastest[budget], time.perf_counter() - start)
    report = {
        **machine(encoder),
        "dtype": args.dtype,
        "texts": len(texts),
        "tokens": tokens,
        "tokens per second by budget": {budget: round(tokens / seconds) for budget, seconds in fastest.items()},
    }
    print(json.dumps(report, indent=2))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"batch_size_{encoder.lm.device.type}_{args.dtype}.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
