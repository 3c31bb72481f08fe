"""Name clusters by the answers, or the words of texts, that are frequent in them and rarer elsewhere."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, combinations, count

from inbedder_utils.checks import clean, short
from inbedder_utils.clustering.display import in_one_line

Namer = Callable[[str, list[str], list[str]], str]
"""Makes a cluster's name of the question, typical texts and distinctive words."""
SHARE_FOR_A_NAME = 0.5
"""Share of a cluster's answers that one word must be in to be the whole name."""
LEAST_SHARE = 0.1
"""Of a cluster's answers, for a word of theirs to be part of its name."""
SHARE_TO_LEAD = 0.2
"""Of a cluster's answers, for the best of them to name it even if a word of the texts is more frequent."""
WHOLE_SHARE = 0.8
"""Share of a word's answers that one longer answer must make up to be named instead: "south africa" for "south"."""
CONTRADICTED_SHARE = 2 / 3
"""Of the times that its most frequent answer is given, how often the opposite must be for a cluster to be unclear."""
OPPOSITES = [("yes", "no"), ("positive", "negative"), ("good", "bad"), ("better", "worse"), ("polite", "rude")]
OPPOSITES += [("liked", "disliked"), ("satisfied", "dissatisfied"), ("happy", "unhappy"), ("fair", "unfair")]
NEGATIONS = ["not"], ["no"], ["never"]
"""Words before an answer that make it another, such as its opposite."""
LONGEST_NAME = 60
"""Characters of a name that is not ours, before its number: more would not fit on a map."""


def whole_words(text: str) -> list[str]:
    """Words of a text, case folded."""
    return re.findall(r"\w+", text.casefold())


def answer_and_words(answer: str) -> set[str]:
    """What an answer counts for: the whole of it, and its words, unless they are negated."""
    words = whole_words(answer)
    return {" ".join(words), *(words if words[:1] not in NEGATIONS else [])} - {""}


def contradicts_itself(answers: Counter[str]) -> bool:
    """Whether the opposite of a cluster's most frequent answer is given nearly as often."""
    most, least = max(answers.values(), default=0), LEAST_SHARE * answers.total()
    often = [answer for answer, times in answers.items() if times >= max(CONTRADICTED_SHARE * most, least)]
    pairs = [pair for pair in combinations(often, 2) if most in (answers[pair[0]], answers[pair[1]])]
    return any(_are_opposite(*pair) for pair in pairs)


def _are_opposite(one: str, other: str) -> bool:
    """Whether one answer negates the other ("urgent", "not urgent"), or they are among `OPPOSITES`."""
    short, long = sorted([one, other], key=len)
    negated = {" ".join([*negation, short]) for negation in NEGATIONS}
    return long in negated or not {(one, other), (other, one)}.isdisjoint(OPPOSITES)


def distinct_names(
    words: Sequence[dict[str, float]],
    text_words: Sequence[dict[str, float]],
    decoded: Sequence[list[str]],
    unclear: Sequence[bool],
) -> list[str]:
    """Name each cluster after its most distinctive words, no two alike.

    The first word of a cluster's answers is its name; if no answer is a mark of the cluster, or only few of its answers
    agree, that of its texts. A second is added if the first is in less than half of the answers (`SHARE_FOR_A_NAME`),
    or is the first word of another cluster too: one that texts or mean have as well, if there is. Where the answers
    contradict each other, the first is "unclear". Where there are no words, the third is "cluster 3"; a name that would
    come twice has a number behind it.
    """
    ranked = [
        ["unclear"] * is_unclear + _ranked(*about)
        for *about, is_unclear in zip(words, text_words, decoded, unclear, strict=True)
    ]
    firsts = [candidates[0] if candidates else "" for candidates in ranked]
    names: list[str] = []
    for c, candidates in enumerate(ranked):
        short = words[c].get(firsts[c], 0) >= SHARE_FOR_A_NAME and firsts.count(firsts[c]) == 1
        tries = [firsts[c]] if short else [", ".join([firsts[c], other]) for other in candidates[1:]]
        tries = [*tries, firsts[c]] if firsts[c] else [f"cluster {c + 1}"]
        names.append(_first_free(tries, names))
    return names


def names_given(
    namer: Namer, question: str, texts: Sequence[list[str]], words: Sequence[dict[str, float]]
) -> list[str]:
    """Have each cluster named by `namer`, in order; its names are made one short line each, no two alike.

    Args:
        namer: what it raises is passed on.
        question: that the texts were asked.
        texts: typical texts of each cluster.
        words: distinctive words of each cluster.

    Raises:
        TypeError: if it returns something else than a string.
        ValueError: if it returns nothing but white space.
    """
    names: list[str] = []
    for c, (typical, distinctive) in enumerate(zip(texts, words, strict=True)):
        name = namer(clean(question), list(map(clean, typical)), list(distinctive))
        about = f"for cluster {c} ({', '.join([*distinctive][:3]) or short(typical[0])})"
        if not isinstance(name, str):
            raise TypeError(f"namer must return a name, one string; {about} it returned {short(name)}")
        if not name.strip():
            raise ValueError(f"namer returned an empty name {about}: have it return something in every case")
        names.append(_first_free([in_one_line(clean(name), LONGEST_NAME)], names))
    return names


def _first_free(tries: Sequence[str], taken: Sequence[str]) -> str:
    """The first name that is not taken; if all are, the last with a number behind it."""
    numbered = (f"{tries[-1]} ({i})" for i in count(2))
    return next(name for name in chain(tries, numbered) if name not in taken)


def _ranked(answered: dict[str, float], own: dict[str, float], read: list[str]) -> list[str]:
    """Words to name a cluster with, best first; of "tax" and "taxes", "slow" and "slow service" only the better one.

    Words of the texts come first where no answer is frequent. A word gives way to the whole answer that most of its
    answers are.
    """
    read = list(map(str.casefold, read))
    frequent = [word for word, share in answered.items() if share >= LEAST_SHARE]
    seconded = [word for word in frequent if word in own or word in read]
    few_agree = not frequent or answered[frequent[0]] < min(SHARE_TO_LEAD, next(iter(own.values()), 0))
    best = [*own, *frequent, *read] if few_agree else [*frequent[:1], *seconded, *frequent]
    kept: list[str] = []
    for word in dict.fromkeys(best):
        longer = (said for said in frequent if said != word and word in answer_and_words(said))
        word = next((said for said in longer if answered[said] >= WHOLE_SHARE * answered.get(word, 1)), word)
        if not any(_same_stem(word, other) for other in kept):
            kept.append(word)
    return kept


def _same_stem(one: str, other: str) -> bool:
    short, long = sorted([one, other], key=len)
    return len(short) > 2 and any(part.startswith(short) for part in [long, *long.split()])
