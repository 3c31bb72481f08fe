"""The evaluation tasks: which texts, which question, which score."""

from dataclasses import dataclass, field
from typing import Literal

from inbedder_utils.data import QUESTIONS

TaskKind = Literal["triplets", "pairs", "clustering", "robustness", "mteb"]


@dataclass(frozen=True)
class Task:
    """A task of the paper, or the same on our own small sets.

    Attributes:
        name: the paper's name for it.
        kind: "triplets" (share with cos(a, p) > cos(a, n)), "pairs" (Spearman of cosine), "clustering" (V-measure),
            "robustness" (V-measure under each of many instructions), or "mteb" (through that library).
        parts: name of the part, and the data set (see `inbedder_utils.data.load_set`; for "mteb" the
            library's task). A task of several parts is scored by their harmonic mean.
        instructions: name of the part, and its question; pairs have one each.
    """

    name: str
    kind: TaskKind
    parts: dict[str, str] = field(default_factory=dict)
    instructions: dict[str, str] = field(default_factory=dict)


def _whole(name: str, kind: TaskKind, data: str, instruction: str) -> Task:
    return Task(name, kind, {"": data}, {"": instruction})


def _in_parts(name: str, kind: TaskKind, data: str, questions: dict[str, str]) -> Task:
    return Task(name, kind, {part: f"{data}{part}" for part in questions}, questions)


def _small(domain: str, kind: TaskKind) -> Task:
    return _in_parts(f"{domain.capitalize()}{kind.capitalize()}", kind, f"{kind}/{domain}_", QUESTIONS[domain])


def _robustness(name: str, data: str) -> Task:
    return Task(f"{name}_robustness", "robustness", {"": data})


INTENT_EMOTION_QUESTIONS = {"emotion": "How does the customer feel?", "intent": "What does the customer need?"}
NYT_QUESTIONS = {"topic": "What is the topic of news?", "location": "Where did the news happen?"}
CLUSTERING_INSTRUCTIONS = {
    "RateMyProf": "Here is a student review on the course and the professor. Categorize the aspect the student is "
    "discussing about.",
    "Feedbacks": "Here is a human feedback on machine-generated text. Categorize the type of reason why the human like "
    "or dislike it.",
    "FewRel": "Here is a sentence. Please tell me the relation type between two specified entities appended after the "
    "sentence.",
    "FewNerd": "Here is a sentence. Please tell me the type of the specified entity appended after the sentence.",
    "FewEvent": "Here is a sentence. Please tell me the type of the specified event according to the trigger words "
    "appended after the sentence.",
}
"""Clustering tasks of the paper's robustness test, with their instruction."""

SUITES: dict[str, list[Task]] = {
    "small": [
        *(_small(domain, "triplets") for domain in QUESTIONS),
        Task("SmallPairs", "pairs", {"": "pairs"}),
        *(_small(domain, "clustering") for domain in QUESTIONS),
        *(
            _robustness(f"{domain.capitalize()}-{label}", f"clustering/{domain}_{label}")
            for domain, labels in QUESTIONS.items()
            for label in labels
        ),
    ],
    "awareness": [
        _in_parts("IntentEmotion", "triplets", "IntentEmotion-", INTENT_EMOTION_QUESTIONS),
        Task("InstructSTSB", "pairs", {"": "InstructSTSB"}),
        _in_parts("NYTClustering", "clustering", "NYTClustering-", NYT_QUESTIONS),
    ],
    "robustness": [
        *(_whole(name, "clustering", name, question) for name, question in CLUSTERING_INSTRUCTIONS.items()),
        *(_robustness(name, name) for name in ["NYTClustering-topic", *CLUSTERING_INSTRUCTIONS]),
    ],
    "generic": [
        _whole("AskUbuntu", "mteb", "AskUbuntuDupQuestions", "What does the user want?"),
        _whole("SciDocs", "mteb", "SciDocsRR", "What is the paper about based on the title?"),
        _whole("StackOverflow", "mteb", "StackOverflowDupQuestions", "What does the user want?"),
        _whole("TwentyNewsgroups", "mteb", "TwentyNewsgroupsClustering", "Categorize the topic of the news article."),
    ],
}
"""Tasks by suite: our own hand-written sets, the paper's tests of awareness and robustness, its generic tasks."""
