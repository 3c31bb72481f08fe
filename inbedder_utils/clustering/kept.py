"""Encoders that keep what they read or gave, where one corpus is asked, or looked at, in many ways."""

from functools import lru_cache
from typing import Any

CALLS_KEPT = 4
"""The last ones. One way to look at a corpus takes up to three: its embeddings, its answers, and those of options."""


def remembering(encoder: Any) -> Any:
    """A copy of the encoder that reads each text once for all questions; the encoder itself if it can't."""
    return encoder.remembering() if hasattr(encoder, "remembering") else encoder


class Kept:
    """An encoder as `ask` uses it, which is not run again for the texts and question of one of its last calls.

    It has what the encoder has; what is kept must not be changed.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._kept = lru_cache(CALLS_KEPT)(self._new)

    def __getattr__(self, name: str) -> Any:
        had = getattr(self._encoder, name)
        if name not in ("encode", "answer", "encode_with_answers"):
            return had
        return lambda texts, instruction: self._kept(name, tuple(texts), instruction)

    def _new(self, name: str, texts: tuple[str, ...], instruction: str) -> Any:
        return getattr(self._encoder, name)([*texts], instruction)
