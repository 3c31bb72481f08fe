"""What users pass in, checked before any model work: each error names the value, what is accepted, and the fix.

A function returns what it was given, checked. It raises a TypeError for a value of another kind, and a ValueError for
one that is out of range, empty, unknown, or of another number.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class TextsCut(UserWarning):
    """Some texts were too long to be read whole: `cut` prompts of text and question."""

    def __init__(self, message: str, cut: int) -> None:
        super().__init__(message)
        self.cut = cut

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.cut)


def one_of(what: str, value: Any, accepted: Iterable[str]) -> str:
    """Return `value` if it is accepted."""
    accepted = list(accepted)
    if not isinstance(value, str) or value not in accepted:
        close = get_close_matches(value, accepted, n=2) if isinstance(value, str) else []
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"unknown {what} {short(value)}: expected one of {', '.join(accepted)}{hint}")
    return value


def integer(what: str, value: Any, *, at_least: int, at_most: int | None = None, fix: str = "") -> int:
    """Return `value` if it is an integer in range."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{what} must be an integer, got {short(value)}")
    if value < at_least or (at_most is not None and value > at_most):
        upto = f" to {at_most}" if at_most is not None else " or more"
        raise ValueError(f"{what} must be {at_least}{upto}, got {value}{'; ' + fix if fix else ''}")
    return int(value)


def checked_batch_size(value: Any) -> int | None:
    """Return `value` if it is a number of texts per batch, or None."""
    return None if value is None else integer("batch_size", value, at_least=1, fix="None fills batches by tokens")


def seed_number(value: Any) -> int:
    """Return `value` if it is a seed that every random generator takes."""
    return integer("seed", value, at_least=0, at_most=2**32 - 1)


def positive(what: str, value: Any) -> float:
    """Return `value` if it is a number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} must be a number, got {short(value)}")
    if not (value > 0 and isfinite(value)):
        raise ValueError(f"{what} must be above 0 and finite, got {short(value)}")
    return float(value)


def string(what: str, value: Any) -> str:
    """Return `value` if it is a string that holds something."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, got {short(value)}")
    if not value.strip():
        raise ValueError(f"{what} is empty: leave it out, or give one")
    return value


def as_path(what: str, value: Any) -> Path:
    """Return a path, with the home folder in place of a `~`; whether anything is there is another question.

    Raises:
        OSError: if nothing can be there: the name is too long, has characters that no file has, or names nobody's home.
    """
    if not isinstance(value, str | Path):
        raise TypeError(f"{what} must be a path, got {short(value)}")
    path = Path(string(what, value) if isinstance(value, str) else value)
    try:
        path = path.expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(f"{what} {short(str(value))} can't be a path: {first_line(error)}") from error
    return path


def layer_index(layer: Any, n_layers: int) -> int:
    """Return the layer counted from 0, the token embeddings; `n_layers` is the last."""
    deep = f"the model has {n_layers} blocks: 0 is the token embeddings, {n_layers} or -1 the last layer"
    return integer("layer", layer, at_least=-n_layers - 1, at_most=n_layers, fix=deep) % (n_layers + 1)


def as_list(what: str, values: Any, fix: str) -> list:
    """Return the entries of a list, tuple, array, Series, column of pyarrow or generator, in order."""
    return list(as_iterator(what, values, fix))


def as_iterator(what: str, values: Any, fix: str) -> Iterator[Any]:
    """Return an iterator over the entries of a list, tuple, array, Series, column of pyarrow or generator."""
    unsuited = isinstance(values, str | bytes | Mapping | Set) or hasattr(values, "columns")
    try:
        if unsuited:
            raise TypeError
        return iter(values.to_pylist() if hasattr(values, "to_pylist") else values)  # pyarrow's
    except TypeError:
        raise TypeError(f"{what} must be a list, got the {type(values).__name__} {short(values)}: {fix}") from None


def as_numbers(what: str, values: Any, dtype: Any = "float32") -> "np.ndarray":
    """Return values as an array, of any shape."""
    import numpy as np

    try:
        return np.ascontiguousarray(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{what} must be numbers, got the {type(values).__name__} {short(values)}") from error


def finite_vectors(vectors: "np.ndarray", texts: Sequence[str]) -> "np.ndarray":
    """Return what a model gave for texts, (n, d), if all numbers are finite."""
    import numpy as np

    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        of = f"{len(bad)} of {len(texts)} texts, such as {', '.join(short(texts[i]) for i in bad[:3])}"
        fix = "load it in bfloat16 or float32 (dtype=), or get its weights anew if they are damaged"
        raise ValueError(f"the model gives NaN or infinite numbers for {of}: {fix}")
    return vectors


def checked_encoder(encoder: Any) -> Any:
    """Return `encoder` if it encodes."""
    if isinstance(encoder, str) or not callable(getattr(encoder, "encode", None)):
        raise TypeError(f"encoder must have encode(texts, instruction), got {short(encoder)}: pass load_encoder()")
    return encoder


def checked_texts(texts: Any, start: int = 0, what: str = "texts") -> list[str]:
    """Return the texts, the first of which has the number `start` in errors, as a list of strings."""
    texts = as_list(what, texts, "pass [text], or one column of a table")
    for i, text in enumerate(texts, start):
        if not isinstance(text, str):
            missing = str(text) in ("None", "nan", "NaT", "<NA>")  # comparing would fail for pandas' NA and for arrays
            fix = "drop the missing rows or fill them with ''" if missing else "convert it with str()"
            fix = "decode it" if isinstance(text, bytes) else fix
            raise TypeError(f"{what}[{i}] is {short(text)} ({type(text).__name__}), not a string: {fix}")
    return texts


def checked_labels(labels: Any, n: int, of: str = "texts", what: str = "labels") -> list[str | None]:
    """Return one label for each of `n` texts (or whatever it is `of`), as strings; None where it is missing."""
    import numpy as np
    import pandas as pd

    labels = as_list(what, labels, "pass one for each text")
    if len(labels) != n:
        raise ValueError(f"got {len(labels)} {what} for {n} {of}: pass one for each")
    missing = pd.isna(np.array(labels, dtype=object))
    if n and missing.all():
        raise ValueError(f"all {n} {what} are missing (None or NaN): leave them out")
    return [None if gap else str(label) for label, gap in zip(labels, missing, strict=True)]


def checked_questions(instructions: Any, what: str = "instruction") -> list[str]:
    """Return several questions as a list of strings."""
    questions = as_list(f"{what}s", instructions, "pass [question]")
    if not questions:
        raise ValueError(f"{what}s is empty: ask at least one question")
    for i, question in enumerate(questions):
        if not isinstance(question, str):
            raise TypeError(f"{what} {i} is {short(question)} ({type(question).__name__}), not a string")
        if not question.strip():
            raise ValueError(f"{what} {i} is empty: ask something, such as 'How does the customer feel?'")
    return questions


def checked_instructions(instruction: Any, n: int) -> list[str]:
    """Return one instruction for each of `n` texts, given one string for all, or `n` strings."""
    if isinstance(instruction, str):
        return checked_questions([instruction]) * n
    instructions = as_list("instruction", instruction, "pass one question, or a list of one per text")
    if len(instructions) != n:
        raise ValueError(
            f"got {len(instructions)} instructions for {n} texts: pass one string for all, or one per text "
            f"(for several questions to every text, use encode_many)"
        )
    return checked_questions(instructions) if instructions else []


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can read and no file can hold, by U+FFFD."""
    return LONE_SURROGATE.sub("\ufffd", text)


def first_line(error: BaseException) -> str:
    """What another library said went wrong, in one line; two if the first only announces the second."""
    first, *rest = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join([first, *(line.strip() for line in rest[:1] if first.endswith(":"))])


def short(value: Any) -> str:
    """Show a value in at most 60 characters of one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
