"""Texts that are longer than a model reads, or hardly readable to it: read in passages, or counted."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from inbedder_utils.tokens import PromptTokenizer

FREE_IN_PASSAGE = 4
"""Tokens that a passage leaves free: its first and last words may take more of them than in the whole text."""
HARDLY_READ = 0.1
"""Share of unknown tokens from which on a text counts as hardly read."""


class Passages:
    """n texts under their questions, each in as many passages of about one length as it takes to read all of it.

    With a truncation other than "passages" each text is a single one, as it is.

    Attributes:
        texts, questions: of all passages.
        starts: (n,) int64, the first passage of each text.
    """

    def __init__(self, read: PromptTokenizer, texts: list[str], questions: list[str]) -> None:
        self.texts, self.questions, self.starts = texts, questions, np.arange(len(texts))
        if read.truncation == "passages" and texts:
            asked = list(dict.fromkeys(questions))
            frames = dict(zip(asked, map(len, read([""] * len(asked), asked)), strict=True))

            @lru_cache(maxsize=1)  # a text's questions stand together
            def measured(text: str) -> tuple[str, list[int]]:
                plain = read.plain(text)
                return plain, read.token_starts(plain)

            pairs = list(zip(texts, questions, strict=True))
            passages = [_passages(*measured(text), read.max_length - frames[question]) for text, question in pairs]
            self.texts = [passage for of_text in passages for passage in of_text]
            self.questions = [q for q, of_text in zip(questions, passages, strict=True) for _ in of_text]
            self.starts = np.cumsum([0, *map(len, passages[:-1])])

    def averaged(self, vectors: np.ndarray) -> np.ndarray:
        """The mean over the passages of each text: (n, d), given those of all passages."""
        if len(self.starts) == len(vectors):
            return vectors
        counts = np.diff([*self.starts, len(vectors)])
        return np.add.reduceat(vectors, self.starts, axis=0) / counts[:, None].astype(np.float32)


def _passages(text: str, starts: list[int], room: int) -> list[str]:
    """A text, whose tokens begin at `starts`, in passages of about one length that mostly have room."""
    if len(starts) <= room:
        return [text]
    n = -(-len(starts) // max(1, room - FREE_IN_PASSAGE))
    cuts = [0, *(starts[len(starts) * i // n] for i in range(1, n)), len(text)]
    spaces = [text.rfind(" ", *pair) for pair in pairwise(cuts[:-1])]  # between words, where there are spaces
    cuts[1:-1] = [cut if space < 0 else space for cut, space in zip(cuts[1:-1], spaces, strict=True)]
    return [text[start:stop] for start, stop in pairwise(cuts)]


def unread(read: PromptTokenizer, texts: list[str], questions: Sequence[str]) -> list[str]:
    """Say in sentences what of n texts a model does not get to read; none if it reads them all."""
    said = []
    cut = [] if read.truncation == "passages" else [row for row, is_cut in read.tokenized(texts, questions) if is_cut]
    if cut:
        room = read.max_length - len(read([""], questions[:1])[0])
        said.append(f"{len(cut)} of {len(texts)} texts were longer than {room} tokens and were cut")
    counts = np.array([read.unknown_tokens(text) for text in texts]).reshape(-1, 2)  # (n, 2): unknown ones, all
    hardly = counts[counts[:, 0] >= HARDLY_READ * np.maximum(1, counts[:, 1])]
    if len(hardly):
        share = f"{hardly[:, 0].sum() / hardly[:, 1].sum():.0%} of their tokens are unknown to the model"
        said.append(f"{len(hardly)} of {len(texts)} texts can hardly be read: {share}")
    return said
