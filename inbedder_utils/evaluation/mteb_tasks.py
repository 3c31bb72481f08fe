"""The benchmark as tasks of mteb: the same texts under one question and under another, for any of its models."""

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from mteb.abstasks import AbsTask, AbsTaskClustering, AbsTaskPairClassification, AbsTaskSTS
from mteb.abstasks.aggregate_task_metadata import AggregateTaskMetadata
from mteb.abstasks.aggregated_task import AbsTaskAggregate
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.results import TaskResult
from scipy.stats import hmean
from torch.utils.data import DataLoader

from inbedder_utils.checks import one_of
from inbedder_utils.data import load_set
from inbedder_utils.data.own_sets import DATA
from inbedder_utils.data.public_sets import PUBLIC_SETS
from inbedder_utils.evaluation.measures import pair_correlation, triplet_success, v_measures
from inbedder_utils.evaluation.run import suite_tasks
from inbedder_utils.evaluation.tasks import Task

GUESTS = Task(
    "GuestsClustering",
    "clustering",
    dict.fromkeys(("aspect", "feeling", "country"), "guests"),
    {
        "aspect": "What is the guest talking about?",
        "feeling": "How does the guest feel?",
        "country": "In which country is the hotel?",
    },
)
ABOUT: dict[str, tuple[str, list[str], list[str]]] = {
    "messages": ("Customer messages", ["Constructed", "Written"], ["Intent classification", "Emotion classification"]),
    "news": ("News briefs", ["Constructed", "News", "Written"], ["Topic classification"]),
    "reviews": ("Reviews of products and places", ["Constructed", "Reviews", "Written"], ["Sentiment Analysis"]),
    "guests": ("Letters of hotel guests", ["Constructed", "Reviews", "Written"], ["Emotion classification"]),
    "pairs": ("Pairs of customer messages, news or reviews", ["Constructed", "Written"], []),
    "IntentEmotion": ("Customer messages", ["Written"], ["Intent classification", "Emotion classification"]),
    "InstructSTSB": ("Pairs of sentences", ["Written"], []),
    "NYTClustering": ("News articles", ["News", "Written"], ["Topic classification"]),
    "RateMyProf": ("Reviews of professors", ["Reviews", "Academic", "Written"], ["Topic classification"]),
    "Feedbacks": ("Feedback on machine-written text", ["Reviews", "Written"], ["Topic classification"]),
    "FewRel": ("Sentences with two entities", ["Encyclopaedic", "Written"], []),
    "FewNerd": ("Sentences with an entity", ["Encyclopaedic", "Written"], []),
    "FewEvent": ("Sentences with an event", ["Encyclopaedic", "Written"], []),
}
"""Corpus: its texts, and their domains and subtypes in mteb's closed lists."""
PAPER = r"""
@inproceedings{peng2024answer,
  author = {Peng, Letian and Zhang, Yuwei and Wang, Zilong and Srinivasa, Jayanth and Liu, Gaowen and Wang, Zihan and Shang, Jingbo},
  booktitle = {Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  publisher = {Association for Computational Linguistics},
  title = {Answer is All You Need: Instruction-following Text Embedding via Answering the Question},
  url = {https://aclanthology.org/2024.acl-long.27/},
  year = {2024},
}
"""  # noqa: E501


class _Asked(AbsTask):
    """Texts in the columns `sides`, embedded under the question that is the task's prompt."""

    data: ClassVar[str]
    folder: ClassVar[str | Path | None] = None
    sides: ClassVar[tuple[str, ...]] = ("sentence1", "sentence2")

    def load_data(self, num_proc: int | None = None, **options: Any) -> None:
        """Read the set; see `inbedder_utils.data.load_set`."""
        if not self.data_loaded:
            self.dataset = {"test": Dataset.from_dict(load_set(self.data, self.folder).to_dict("list"))}
            self.dataset_transform()
            self.data_loaded = True

    def _evaluate_subset(
        self, model: Any, data_split: Dataset, *, hf_split: str, hf_subset: str, encode_kwargs: Any, **options: Any
    ) -> dict[str, Any]:
        embedded = partial(self._embedded, model, hf_split=hf_split, hf_subset=hf_subset, **encode_kwargs)
        vectors, rows = self._asked(embedded, data_split.to_pandas())
        scores = {measure: np.atleast_1d(values) for measure, values in self._scores(vectors, rows).items()}
        means = {measure: float(values.mean()) for measure, values in scores.items()}
        return means | {"by_seed": {measure: values.tolist() for measure, values in scores.items()}}

    def _asked(self, embedded: Callable, rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
        """Embeddings (sides, n, d), and the n rows in their order."""
        return embedded(self.metadata, rows), rows

    def _embedded(self, model: Any, task: TaskMetadata, rows: pd.DataFrame, **options: Any) -> np.ndarray:
        """Embeddings of the sides of n rows, under the prompt of the task: (sides, n, d) float32."""
        places, texts = pd.factorize(pd.concat([rows[side] for side in self.sides]))  # many stand in several rows
        batches = DataLoader(Dataset.from_dict({"text": texts.tolist()}), options["batch_size"])
        vectors = model.encode(batches, task_metadata=task, **options)
        return torch.as_tensor(vectors).float().cpu().numpy()[places].reshape(len(self.sides), len(rows), -1)

    def _scores(self, vectors: np.ndarray, rows: pd.DataFrame) -> dict[str, Any]:
        """Each measure, as a share or once per seed, of n rows whose sides have the vectors (sides, n, d)."""
        raise NotImplementedError


class _Triplets(_Asked, AbsTaskPairClassification):
    """Each as two pairs, that of the anchor and its positive before that with its negative: as mteb has pairs."""

    main_score = "triplet_success"

    def dataset_transform(self, num_proc: int | None = None, **options: Any) -> None:
        rows = self.dataset["test"].to_pandas()
        columns = {
            "sentence1": rows["anchor"].repeat(2),
            "sentence2": rows[["positive", "negative"]].to_numpy().ravel(),
        }
        self.dataset["test"] = Dataset.from_dict(columns | {"labels": [1, 0] * len(rows)})

    def _scores(self, vectors: np.ndarray, rows: pd.DataFrame) -> dict[str, Any]:
        anchors, others = vectors
        return {self.main_score: triplet_success(anchors[::2], others[::2], others[1::2])}


class _Pairs(_Asked, AbsTaskSTS):
    main_score = "cosine_spearman"

    def _asked(self, embedded: Callable, rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
        parts, groups = [], [group for _, group in rows.groupby("instruction", sort=False)]
        for i, group in enumerate(groups):
            # mteb's cache of embeddings knows a text by the name of its task: each question needs one of its own.
            own = {"name": f"{self.metadata.name}-{i}", "prompt": group["instruction"].iloc[0]}
            parts.append(embedded(self.metadata.model_copy(update=own), group))
        width = max(part.shape[2] for part in parts)  # TF-IDF finds other words under each question
        parts = [np.pad(part, ((0, 0), (0, 0), (0, width - part.shape[2]))) for part in parts]
        return np.concatenate(parts, axis=1), pd.concat(groups)

    def _scores(self, vectors: np.ndarray, rows: pd.DataFrame) -> dict[str, Any]:
        return {self.main_score: pair_correlation(*vectors, rows["score"].astype(float).tolist())}


class _Clustering(_Asked, AbsTaskClustering):
    """All texts, in as many clusters as there are labels, once per seed: see `v_measures`."""

    main_score = "v_measure"
    max_fraction_of_documents_to_embed = None
    sides, input_column_name, label_column_name = ("text",), "text", "cluster"

    def _scores(self, vectors: np.ndarray, rows: pd.DataFrame) -> dict[str, Any]:
        return v_measures(vectors[0], rows[self.label_column_name].tolist())


class _UnderEachQuestion(AbsTaskAggregate):
    """A corpus as a whole: the harmonic mean over its questions, seed by seed, and the score of each by its label."""

    def task_results_to_scores(self, task_results: list[TaskResult]) -> dict[str, Mapping[str, dict[str, Any]]]:
        scores = super().task_results_to_scores(task_results)
        asked = [result for result in task_results if result.task_name in self.taskname_to_task]
        for split, by_subset in scores.items():
            if by_subset["default"]["main_score"] is None:  # a question has no score
                continue
            parts = {
                result.task_name.removeprefix(f"{self.metadata.name}-"): result.scores[split][0] for result in asked
            }
            by_seed = pd.DataFrame([part["by_seed"] for part in parts.values()])  # a column per measure
            means = {measure: float(hmean(by_seed[measure].tolist(), axis=0).mean()) for measure in by_seed}
            by_subset["default"] = means | {label: part["main_score"] for label, part in parts.items()}
            self._add_main_score(by_subset["default"])
        return scores


_KINDS = {
    "triplets": (_Triplets, "PairClassification"),
    "pairs": (_Pairs, "STS"),
    "clustering": (_Clustering, "Clustering"),
}
"""Kind of task: its class here, and its type in mteb's closed list."""


def instruction_tasks(
    suite: Literal["small", "awareness", "robustness", "all"] = "small", folder: str | Path | None = None
) -> list[AbsTask]:
    """The benchmark as tasks for `mteb.evaluate`, with any model of mteb: a task per corpus and kind of test.

    A corpus that is asked several questions is an aggregate task, made of one task per question, with the question as
    its prompt: models that take an instruction embed the same texts under each, others as ever. Its main score is the
    harmonic mean over the questions, and `scores["test"][0]` has the score of each by its label. Scores are those of
    `inbedder_utils.evaluation.evaluate`, as shares: of triplets with cos(a, p) > cos(a, n); the Spearman correlation of
    the cosine of pairs, each under its own question; and V-measures over five seeds, "v_measure" with ten starts of
    k-means on normalized vectors, "v_measure_minibatch" as the paper clusters.

    Args:
        suite: "small" for the sets that ship with the package, the guests' letters among them; "awareness" or
            "robustness" for the paper's, at the commits that were evaluated; "all". The paper's lists of wordings are
            no tasks here, and its generic tasks mteb has.
        folder: local copies of the paper's sets; see `inbedder_utils.data.load_set`, which reads a set when it is run.

    Raises:
        ValueError: for an unknown suite.
    """
    tasks = suite_tasks(one_of("suite", suite, ["small", "awareness", "robustness", "all"]))
    tasks += [GUESTS] * (suite in ("small", "all"))
    return [_corpus_task(task, folder) for task in tasks if task.kind in _KINDS]


def _corpus_task(task: Task, folder: str | Path | None) -> AbsTask:
    parts = [_question_task(task, part, folder) for part in task.parts]
    if len(parts) == 1:
        return parts[0]
    first = parts[0].metadata
    metadata = AggregateTaskMetadata(
        name=task.name,
        description=f"{_about(task)[0]} under each of {len(parts)} questions, and the harmonic mean of the scores.",
        tasks=parts,
        eval_splits=["test"],
        **first.model_dump(include={"type", "main_score", "reference", "bibtex_citation"}),
    )
    return type(task.name, (_UnderEachQuestion,), {"metadata": metadata})()


def _about(task: Task) -> tuple[str, list[str], list[str]]:
    corpus = next(iter(task.parts.values())).rpartition("/")[2]
    return ABOUT[corpus.partition("_")[0].partition("-")[0]]


def _question_task(task: Task, part: str, folder: str | Path | None) -> AbsTask:
    """A class of its own for each, as mteb wants it: an instance loses its metadata when its data are unloaded."""
    data, question, name = task.parts[part], task.instructions.get(part), f"{task.name}-{part}".strip("-")
    (base, kind), (texts, domains, subtypes) = _KINDS[task.kind], _about(task)
    public = PUBLIC_SETS.get(data)
    if public:
        source = {"path": public.hub, "revision": public.revision} | ({"name": public.config} if public.config else {})
        dates = "2024-02-17", "2024-02-20"  # of the upload: the sources are older
    else:
        file = DATA / f"{data}.jsonl"
        source = {"path": "inbedder_utils/data", "name": data, "revision": sha256(file.read_bytes()).hexdigest()[:40]}
        dates = "2026-11-23", "2026-11-25"
    metadata = TaskMetadata(
        name=name,
        description=f"{texts} under {f'the question {question!r}' if question else 'a question for each'}: "
        "other questions about the same texts have other answers.",
        type=kind,
        category="t2c" if kind == "Clustering" else "t2t",
        dataset=source,
        reference="https://aclanthology.org/2024.acl-long.27/",
        eval_langs=["eng-Latn"],
        main_score=base.main_score,
        prompt=question,
        date=dates,
        domains=domains,
        task_subtypes=subtypes,
        license=(public.licence or "not specified").lower() if public else "mit",
        annotations_creators="derived",
        dialect=[],
        sample_creation="found" if public else "created",
        bibtex_citation=PAPER if public else "",
    )
    members = {"metadata": metadata, "data": data, "folder": folder}
    if data == "guests":
        members["label_column_name"] = part
    return type(name, (base,), members)()
