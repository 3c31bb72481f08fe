"""Does a server give the vectors that the model gives when it is loaded here? See docs/serving.md.

    python scripts/served.py URL CHECKPOINT [--model NAME] [--texts 200] [--as-text] [--device cpu]

Encodes texts of the shipped corpora, from a few words to more than the model reads, under questions about them, here
and there, and prints the largest difference (relative to a vector's length), the least cosine, and the texts per second
of both. Where the server scales vectors to unit length, that is said, and directions are compared.

The exit code is 1 if a cosine is below 0.99, or a difference above 0.15, which is the same angle as a length. `tiny` in
float32, read here twice in different ways, differs by 7e-7. Servers mostly run in 16 bits: in float16 its cosines begin
at 0.99999, in bfloat16 at 0.9996 (difference 0.03). Mistakes show: without the token that begins a prompt cosines begin
at 0.98, and under another question, with the state before the last, the mean of all, a token too many at the end, or
the prompt's end cut off instead of the text's, at 0.11 or below.
"""

import argparse
import time
import warnings
from math import ceil

import numpy as np

from inbedder_utils import load_encoder
from inbedder_utils.checks import TextsCut
from inbedder_utils.data import QUESTIONS, corpus
from inbedder_utils.http_encoder import HttpEncoder

LEAST_COSINE, MOST_DIFFERENCE = 0.99, 0.15
LENGTHS = (0.1, 1, 1, 1, 4, 40)
"""How often texts are repeated, in turn: 0.1 is their beginning."""


def mixed_texts(n: int) -> tuple[list[str], list[str]]:
    """Texts (n) from short to too long, and a question for each."""
    pairs = [
        (text, list(questions.values())[i % len(questions)])
        for name, questions in QUESTIONS.items()
        for i, text in enumerate(corpus(name)["text"])
    ]
    chosen = [pairs[i] for i in np.random.default_rng(0).choice(len(pairs), n, replace=n > len(pairs))]
    times = [LENGTHS[i % len(LENGTHS)] for i in range(n)]
    texts = [(f"{text} " * ceil(k))[: int(len(text) * k)] for (text, _), k in zip(chosen, times, strict=True)]
    return texts, [question for _, question in chosen]


def timed(encoder, texts: list[str], questions: list[str]) -> tuple[np.ndarray, float]:
    """Vectors, and texts per second."""
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # that some are cut is wanted
        vectors = encoder.encode(texts, questions)
    return vectors, len(texts) / (time.perf_counter() - start)


def compared(here: np.ndarray, there: np.ndarray) -> tuple[float, float]:
    """The largest relative difference, and the least cosine, of the rows of two (n, d)."""
    norms = np.linalg.norm(here, axis=1)  # (n,)
    cosines = (here * there).sum(axis=1) / (norms * np.linalg.norm(there, axis=1))  # (n,)
    return float((np.linalg.norm(there - here, axis=1) / norms).max()), float(cosines.min())


def main() -> None:
    """Encode here and there, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("checkpoint")
    parser.add_argument("--model", help="what the server calls it")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--as-text", action="store_true", help="send text, not token ids")
    parser.add_argument("--device", help="where the model is loaded here, beside the server's; the default is a GPU")
    args = parser.parse_args()
    if args.texts < 1:
        parser.error(f"--texts must be 1 or more, got {args.texts}")
    texts, questions = mixed_texts(args.texts)
    served = HttpEncoder(args.url, args.checkpoint, model=args.model, as_text=args.as_text)
    encoder = load_encoder(args.checkpoint, device=args.device)  # first: if there is no room for it, nothing was asked
    there, speed_there = timed(served, texts, questions)
    here, speed_here = timed(encoder, texts, questions)
    print(f"{len(texts)} texts of up to {max(map(len, texts))} characters", *served.unread(texts, questions), sep="; ")
    if np.allclose(np.linalg.norm(there, axis=1), 1, atol=1e-2):
        print("the server scales vectors to unit length: only directions are compared")
        here = here / np.linalg.norm(here, axis=1, keepdims=True)  # (n, d)
    difference, cosine = compared(here, there)
    print(f"largest relative difference {difference:.2g}, least cosine {cosine:.6f}")
    print(f"texts per second: {speed_there:.1f} from the server, {speed_here:.1f} here ({encoder!r})")
    same = cosine >= LEAST_COSINE and difference <= MOST_DIFFERENCE
    print("the same vectors" if same else "OTHER vectors: see docs/serving.md for what the server must be told")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
