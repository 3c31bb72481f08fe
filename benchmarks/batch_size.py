"""How many tokens should a batch hold? Encodes ragged texts with several budgets, in one run.

    python benchmarks/batch_size.py [--dtype bfloat16] [--device cuda]

Prints a table and writes results/speed/batch_size_<device>_<dtype>.json.
`inbedder_utils.inference.reader.MAX_TOKENS` holds what it found.
"""

import argparse
import json
import time

from encode_throughput import ASKED, RESULTS, machine, ragged_texts, random_encoder


def main() -> None:
    """Time every budget, twice, and keep the faster run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument("--texts", type=int, default=48)
    parser.add_argument("--budgets", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192, 16384])
    args = parser.parse_args()
    encoder = random_encoder("opt-125m", args.dtype, args.device)
    texts = ragged_texts(args.texts, encoder.tokenizer)
    tokens = sum(map(len, encoder.prompt_tokenizer(texts, ASKED[:1] * len(texts))))
    encoder.encode(texts[:8], ASKED[0])
    fastest = dict.fromkeys(args.budgets, float("inf"))
    for _ in range(2):  # the budgets take turns, so that a busy moment does not fall on one of them alone
        for budget in args.budgets:
            encoder.reader.max_tokens = budget
            start = time.perf_counter()
            encoder.encode(texts, ASKED[0])
            fastest[budget] = min(fastest[budget], time.perf_counter() - start)
    report = {
        **machine(encoder.lm.device),
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
