"""The bar that counts texts, and those that were cut."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from inbedder_utils.checks import TextsCut


class Progress(tqdm):
    """A bar that counts texts, each once for each question.

    Attributes:
        read, cut: how many were read; and how many of them in part only.
    """

    read = cut = 0


@contextmanager
def counting(n: int | None, shown: bool, max_length: int) -> Iterator[Progress]:
    """A bar for n texts; in the end one warning says how many were cut."""
    with Progress(total=n, unit="text", **({} if shown else {"disable": True})) as bar:  # shown unless TQDM_DISABLE
        yield bar
    if bar.cut:
        longer = f"longer than {max_length} tokens, so that their texts were cut"
        said = f"{bar.cut} of {bar.read} prompts (text and question) were {longer}"
        warnings.warn(TextsCut(said, bar.cut), stacklevel=4)
