"""The hand-written sets that ship with the package (see `data/README.md`)."""

from pathlib import Path

import pandas as pd

from inbedder_utils.checks import one_of

DATA = Path(__file__).parent
QUESTIONS = {
    "messages": {"need": "What does the customer need?", "feeling": "How does the customer feel?"},
    "news": {"topic": "What is the topic of the news?", "place": "Where did the news happen?"},
    "reviews": {
        "product": "What product or place is reviewed?",
        "liking": "Does the reviewer like it?",
        "aspect": "Which aspect is the review about?",
    },
}
"""Domain, its labels, and the question that each label answers."""


def small_sets() -> list[str]:
    """Names that `small_set` takes."""
    return sorted(path.relative_to(DATA).with_suffix("").as_posix() for path in DATA.glob("**/*.jsonl"))


def small_set(name: str) -> pd.DataFrame:
    """Read one hand-written set.

    Args:
        name: "clustering/DOMAIN_LABEL" has columns text, cluster (as NYTClustering); "triplets/DOMAIN_LABEL" has
            anchor, positive, negative (as IntentEmotion): the positive shares only that label with the anchor, the
            negative all the others; "pairs" has sentence1, sentence2, instruction, score (as InstructSTSB).

    Raises:
        ValueError: for an unknown name.
    """
    return pd.read_json(DATA / f"{one_of('small set', name, small_sets())}.jsonl", lines=True)


def corpus(domain: str) -> pd.DataFrame:
    """The texts of "messages", "news" or "reviews" with all their labels.

    Returns:
        Column text, and one column per label (see `QUESTIONS`).

    Raises:
        ValueError: for an unknown domain.
    """
    labels = QUESTIONS[one_of("domain", domain, QUESTIONS)]
    sets = {label: small_set(f"clustering/{domain}_{label}") for label in labels}
    texts = next(iter(sets.values()))["text"]
    return pd.DataFrame({"text": texts} | {label: labelled["cluster"] for label, labelled in sets.items()})
