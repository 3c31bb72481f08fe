"""Closed questions: sort texts into the reader's own categories, or into none of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import softmax

from inbedder_utils.checks import as_list, checked_texts, clean, short, string
from inbedder_utils.clustering.anchors import Anchors
from inbedder_utils.clustering.partition import SAME_EMBEDDING, sample

OTHER = "other"
"""Name of the texts that belong to no option."""
# How these were chosen, and on which texts, is in inbedder_utils/data/README.md.
LEAST_SIMILARITY = 0.05
"""To the nearest option, below which a text is put into "other"."""
COUNTS_AS_TEXTS = 5
"""Texts that the mean of the options counts for, where the mean of the texts is taken: it decides if there are few."""
TEXTS_PLACED = 10_000
"""Texts that move the anchors, at most; the others are sorted all the same."""
ROUNDS, STEEPNESS = 10, 20.0
OWN_SHARE = 0.5
"""Of an anchor, that is the option's own embedding; the rest is the mean of the texts that are sorted to it."""
LEAST_FIT = 0.35
"""Cosine of an option and the mean of its texts, below which a note says that it may be no answer to the question."""
TEXTS_FOR_A_MEAN = 3
"""So many texts must be sorted to an option for their mean to count in full."""


def checked_options(options: Any) -> dict[str, str]:
    """Return options as {name: description, "" for none}.

    Raises:
        TypeError: if they are not strings.
        ValueError: if there are fewer than two, one comes twice or is empty, or is called "other".
    """
    if isinstance(options, Mapping):
        pairs = [
            (name, said if said == "" else string(f"description of {short(name)}", said))
            for name, said in options.items()
        ]
    else:
        pairs = [
            string("option", option).partition(": ")[::2] for option in as_list("options", options, "pass [option]")
        ]
    named = [(clean(string("option", name)).strip(), said.strip()) for name, said in pairs]
    seen: set[str] = set()
    for name, _ in named:
        if name.casefold() in seen:
            raise ValueError(f"option {name!r} comes twice: pass each once")
        if name.casefold() == OTHER:
            raise ValueError(f"leave out option {name!r}: texts that fit no option are put there anyway")
        seen.add(name.casefold())
    if len(named) < 2:
        raise ValueError(
            f"got {len(named)} option{'s' * (len(named) != 1)}: pass two or more, such as ['late', 'lost']"
        )
    return dict(named)


def checked_examples(examples: Any, options: Mapping[str, str]) -> list[tuple[str, int]]:
    """Return {option: texts that belong to it} as pairs of a text and the option's number."""
    if not isinstance(examples, Mapping):
        raise TypeError(f"examples must be {{option: [text]}}, got {type(examples).__name__}")
    unknown = [name for name in examples if name not in options]
    if unknown:
        raise ValueError(f"examples are given for {short(unknown[0])}, which is no option: {', '.join(options)}")
    places = {name: i for i, name in enumerate(options)}
    return [(text, places[name]) for name, texts in examples.items() for text in checked_texts(texts, what="examples")]


def anchors_of_options(
    encode: Callable[[list[str]], np.ndarray],
    instruction: str,
    embeddings: np.ndarray,
    options: Mapping[str, str],
    examples: Sequence[tuple[str, int]] = (),
) -> tuple[Anchors, np.ndarray]:
    """Find where options lie among the texts; and how like the texts that are near it each is: (k,) cosines.

    An option is read as a text that is asked the same question: its name, question and name, and its description if it
    has one. Options and texts are centred, for a name of one word is no text like the others. Then each anchor moves
    towards the mean of the texts that are near to it, as in k-means with soft assignments, but keeps half of its own
    place; texts count by how near the nearest option is, so that those of no option hardly do.

    Args:
        encode: gives the embeddings of texts under the question.
        instruction: the question.
        embeddings: (n, d) of the texts to be sorted, as encoded; of many, a sample is used.
        options: from `checked_options`.
        examples: from `checked_examples`; each counts as one text that is surely sorted to its option.
    """
    forms = [[name, f"{instruction} {name}", *([said] if said else [])] for name, said in options.items()]
    own = normalize(encode([form for of_one in forms for form in of_one]))
    if np.ptp(own, axis=0).max() < SAME_EMBEDDING:
        raise ValueError("all options have the same embedding: pass an encoder that tells them apart")
    first = np.cumsum([0, *map(len, forms)])[:-1]
    own = np.add.reduceat(own, first) / np.array([[len(of_one)] for of_one in forms])  # (k, d)
    embeddings = embeddings[sample(len(embeddings), TEXTS_PLACED, seed=0)]
    unit = normalize(np.vstack([embeddings, encode([text for text, _ in examples])]) if examples else embeddings)
    origin = (unit.sum(axis=0) + COUNTS_AS_TEXTS * own.mean(axis=0)) / (len(unit) + COUNTS_AS_TEXTS)
    own, placed = normalize(own - own.mean(axis=0)), normalize(unit - origin)  # (k, d), (n, d)
    surely = np.eye(len(own))[[option for _, option in examples]] if examples else None
    centres = own
    for _ in range(ROUNDS):
        similarities = placed @ centres.T  # (n, k)
        shares = softmax(STEEPNESS * similarities) * similarities.max(axis=1, keepdims=True).clip(0) ** 2
        if surely is not None:
            shares[len(embeddings) :] = surely
        mass = shares.sum(axis=0)[:, None]  # (k, 1)
        means = normalize(shares.T @ placed)  # (k, d)
        centres = normalize(OWN_SHARE * own + (1 - OWN_SHARE) * means * np.minimum(1, mass / TEXTS_FOR_A_MEAN))
    return Anchors(origin, centres, LEAST_SIMILARITY), (own * means).sum(axis=1)


def doubts(options: Sequence[str], likeness: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Say which options got no text, or texts that they are not like; both (k,), by `anchors_of_options`."""
    said = []
    for name, like, size in zip(options, likeness.tolist(), sizes.tolist(), strict=True):
        if not size:
            said.append(f"no text was sorted into {name!r}")
        elif size >= TEXTS_FOR_A_MEAN and like < LEAST_FIT:
            said.append(
                f"{name!r} is hardly like the texts that were sorted into it (cosine {like:.2f}, below "
                f"{LEAST_FIT}): is it an answer to the question, and in the language of the texts?"
            )
    return said
