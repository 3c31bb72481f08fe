"""What users pass in, checked before any model work: each error names the value, what is accepted, and the fix."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


def one_of(what: str, value: Any, accepted: Iterable[str]) -> str:
    """Return `value` if it is accepted.

    Raises:
        ValueError: if not; with the closest accepted values.
    """
    accepted = list(accepted)
    if value not in accepted:
        close = get_close_matches(str(value), accepted, n=2)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"unknown {what} {value!r}: expected one of {', '.join(accepted)}{hint}")
    return value


def integer(what: str, value: Any, *, at_least: int, at_most: int | None = None, fix: str = "") -> int:
    """Return `value` if it is an integer in range.

    Raises:
        TypeError: if it is not an integer.
        ValueError: if it is out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, got {value!r}")
    if value < at_least or (at_most is not None and value > at_most):
        upto = f" to {at_most}" if at_most is not None else " or more"
        raise ValueError(f"{what} must be {at_least}{upto}, got {value}{'; ' + fix if fix else ''}")
    return int(value)


def layer_index(layer: Any, n_layers: int) -> int:
    """Return the layer counted from 0, the token embeddings; `n_layers` is the last.

    Raises:
        TypeError: if it is not an integer.
        ValueError: if the model is not that deep.
    """
    deep = f"the model has {n_layers} blocks: 0 is the token embeddings, {n_layers} or -1 the last layer"
    return integer("layer", layer, at_least=-n_layers - 1, at_most=n_layers, fix=deep) % (n_layers + 1)


def checked_texts(texts: Any) -> list[str]:
    """Return the texts as a list of strings.

    Raises:
        TypeError: for a bare string, a table, or an entry that is not a string (None and NaN included).
    """
    if isinstance(texts, str | bytes):
        raise TypeError(
            f"texts must be a list of strings, got the single {type(texts).__name__} {_short(texts)}: use [text]"
        )
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or not isinstance(texts, Iterable):
        raise TypeError(
            f"texts must be a list of strings, got {type(texts).__name__}: pass one column of it, as a list"
        )
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            missing = str(text) in ("None", "nan", "NaT", "<NA>")  # comparing would fail for pandas' NA and for arrays
            fix = "drop the missing rows or fill them with ''" if missing else "convert it with str()"
            fix = "decode it" if isinstance(text, bytes) else fix
            raise TypeError(f"texts[{i}] is {_short(text)} ({type(text).__name__}), not a string: {fix}")
    return texts


def checked_instructions(instruction: Any, n: int) -> list[str]:
    """Return one instruction per text.

    Args:
        instruction: one string for all texts, or `n` strings.
        n: number of texts.

    Raises:
        TypeError: if an instruction is not a string.
        ValueError: if there are not `n`, or one is empty.
    """
    if isinstance(instruction, str):
        instructions = [instruction] * max(n, 1)
    elif isinstance(instruction, Mapping | bytes) or not isinstance(instruction, Iterable):
        raise TypeError(f"instruction must be one question or a list of one per text, got {_short(instruction)}")
    else:
        instructions = list(instruction)
        if len(instructions) != n:
            raise ValueError(
                f"got {len(instructions)} instructions for {n} texts: pass one string for all, or one per text "
                f"(for several questions to every text, use encode_many)"
            )
    for i, question in enumerate(instructions):
        if not isinstance(question, str):
            raise TypeError(f"instruction {i} is {_short(question)} ({type(question).__name__}), not a string")
        if not question.strip():
            raise ValueError(f"instruction {i} is empty: ask something, such as 'How does the customer feel?'")
    return instructions[:n]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
