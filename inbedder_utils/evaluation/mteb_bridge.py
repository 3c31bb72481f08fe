"""The bridge to mteb: our encoders as its models, its tasks with our instructions, the paper's sets as its tasks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

try:
    import mteb
    from datasets import Dataset
    from mteb.abstasks.abstask import AbsTask
    from mteb.abstasks.clustering_legacy import AbsTaskClusteringLegacy
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import BatchedInput, PromptType
except ImportError as error:
    raise ImportError(f"{error}: install what evaluating needs, pip install -e '.[evaluate]'") from error

from inbedder_utils.checks import checked_questions, first_line
from inbedder_utils.data import load_set
from inbedder_utils.data.public_sets import PUBLIC_SETS
from inbedder_utils.evaluation.measures import pair_correlation, triplet_success
from inbedder_utils.evaluation.tasks import SUITES, Task
from inbedder_utils.storage.identity import name_and_revision


class MtebEncoder(AbsEncoder):
    """An embedder that mteb can evaluate: `mteb.evaluate(MtebEncoder(load_encoder()), tasks)`.

    Settings and weights are read when it is made: after changing any, make another. mteb keeps scores by the name and
    revision in `mteb_model_meta`; the revision is a hash of the checkpoint's settings, truncation, architecture, dtype,
    weights (see `inbedder_utils.storage.identity`), the instructions, and the versions of mteb and this package, so
    that a score is never another model's. Only a task whose own data or prompt were edited is not noticed.

    Args:
        encoder: an `Encoder`, a `SentenceEmbedder`, or anything with `encode(texts, instruction, **options)`, options
            being `batch_size` and `show_progress_bar`, and with a `checkpoint` or a `name`. If it has no weights, as
            `lm` or `model`, its repr stands for them in the revision.
        instructions: the question by task name (also by type of task, or "query" and "document"); for others, the
            task's own prompt is asked, or else the one that mteb has for its type.

    Raises:
        TypeError: if the encoder has no name, or an instruction is not a string.
        ValueError: if an instruction is empty.
    """

    def __init__(self, encoder: Any, instructions: Mapping[str, str] | None = None) -> None:
        self.encoder, self.prompts_dict = encoder, dict(instructions or {})
        if self.prompts_dict:
            checked_questions(list(self.prompts_dict.values()))
        name, revision = name_and_revision(encoder, instructions=self.prompts_dict, mteb=mteb.__version__)
        compared = {"similarity_fn_name": ScoringFunction.COSINE, "use_instructions": True}
        self.mteb_model_meta = ModelMeta.create_empty({"name": name, "revision": revision, **compared})

    def encode(
        self,
        inputs: DataLoader[BatchedInput],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Embed the texts of a task under its instruction, or each under the one beside it: (n, d) float32.

        As mteb calls it, with a split and a subset that are not used; `options` go to the encoder's `encode`.

        Raises:
            ValueError: if there is no instruction for the task.
        """
        batches = list(inputs)
        texts = [text for batch in batches for text in batch["text"]]
        # Queries of mteb's own tasks have had theirs appended to the text by mteb.
        if prompt_type is None and batches and "instruction" in batches[0]:
            questions = [question for batch in batches for question in batch["instruction"]]
            return self.encoder.encode(texts, questions, **options)
        instruction = self.get_instruction(task_metadata, prompt_type)
        if not isinstance(instruction, str) or not instruction.strip():
            name = task_metadata.name
            raise ValueError(
                f"mteb has no instruction for the task {name}{f' ({prompt_type})' * bool(prompt_type)}: pass one, "
                f"MtebEncoder(encoder, {{{name!r}: 'What is ...?'}})"
            )
        return self.encoder.encode(texts, instruction, **options)


def generic_score(encoder: Any, task: Task, cache_folder: str | Path | None = None) -> float:
    """Score an embedder on a generic task of the paper, through mteb, in percent.

    Reranking is scored by `map_at_1000`, mteb's main score: no query has more than 60 candidates, so it is the paper's
    mean average precision over all of them (ties aside). Queries and candidates are asked the same question.
    Clustering is scored by the mean V-measure over ten sets.

    TwentyNewsgroups is at the paper's commit. The three reranking sets mteb has uploaded anew, in another layout:
    they are at the commit in mteb's metadata instead, and small differences to the paper's are possible.

    Args:
        encoder: as for `MtebEncoder`.
        task: one of `SUITES["generic"]`.
        cache_folder: where mteb keeps scores, and looks for them first; None for nowhere.

    Raises:
        ValueError: for a task of another suite.
        OSError: if the data set is neither in the Hugging Face cache nor can be had from the hub.
    """
    if task.kind != "mteb":
        raise ValueError(f"{task.name} is none of mteb's tasks: expected one of SUITES['generic']")
    name = task.parts[""]
    scored, model = mteb.get_task(name), MtebEncoder(encoder, {name: task.instructions[""]})
    cache = mteb.ResultCache(cache_path=cache_folder) if cache_folder else None
    try:
        result = mteb.evaluate(model, scored, cache=cache, show_progress_bar=False)
    except (OSError, ValueError, RuntimeError) as error:
        if scored.data_loaded:
            raise
        raise OSError(
            f"the data of {name} can't be loaded ({first_line(error)}). Evaluate it once on a machine with a network, "
            f"or download there with mteb.get_task({name!r}).load_data(); then copy its Hugging Face cache and point "
            f"HF_HOME at it"
        ) from error
    return 100 * result.task_results[0].get_score()


class _PaperTask(AbsTask):
    """A data set of the paper, read when it is needed."""

    folder: ClassVar[str | Path | None] = None

    def load_data(self, num_proc: int | None = None, **options: Any) -> None:
        """Read the set; see `inbedder_utils.data.load_set`."""
        if not self.data_loaded:
            columns = load_set(self.metadata.name, self.folder).to_dict("list")
            self.dataset, self.data_loaded = {"default": {"test": self._dataset(columns)}}, True

    def _dataset(self, columns: dict[str, list]) -> Dataset:
        return Dataset.from_dict(columns)

    def _calculate_descriptive_statistics_from_split(self, split: str, **options: Any) -> Any:
        raise NotImplementedError(f"{self.metadata.name} comes without descriptive statistics")


class _Clustering(_PaperTask, AbsTaskClusteringLegacy):
    """All texts in one row: mteb clusters them once, by MiniBatchKMeans with batches of 500 and a fixed seed."""

    input_column_name, label_column_name = "text", "cluster"

    def _dataset(self, columns: dict[str, list]) -> Dataset:
        return Dataset.from_dict({name: [values] for name, values in columns.items()})


class _Compared(_PaperTask):
    """Texts that stand side by side in the columns `sides`, each text under the row's instruction, if there is one."""

    sides: ClassVar[tuple[str, ...]]
    score: ClassVar[Callable[[list[np.ndarray], Dataset], float]]

    def _evaluate_subset(
        self, model: Any, data_split: Dataset, *, hf_split: str, hf_subset: str, encode_kwargs: Any, **options: Any
    ) -> dict[str, float]:
        inputs = {"text": [text for side in self.sides for text in data_split[side]]}
        if "instruction" in data_split.column_names:
            inputs["instruction"] = list(data_split["instruction"]) * len(self.sides)
        rows = pd.DataFrame(inputs)
        places = rows.groupby(list(inputs), sort=False).ngroup()
        unique = Dataset.from_dict(rows.drop_duplicates().to_dict("list"))  # many texts stand in several rows
        batches = DataLoader(unique, batch_size=encode_kwargs.get("batch_size", 32))
        where = {"task_metadata": self.metadata, "hf_split": hf_split, "hf_subset": hf_subset}
        vectors = torch.as_tensor(model.encode(batches, **where, **encode_kwargs)).float().cpu().numpy()[places]
        return {self.metadata.main_score: self.score(np.split(vectors, len(self.sides)), data_split)}


class _Triplets(_Compared):
    sides = ("anchor", "positive", "negative")
    score = staticmethod(lambda vectors, rows: triplet_success(*vectors))


class _Pairs(_Compared):
    sides = ("sentence1", "sentence2")
    score = staticmethod(lambda vectors, rows: pair_correlation(*vectors, rows["score"]))


_TASK_CLASSES: dict[str, tuple[type[_PaperTask], str, str]] = {
    "triplets": (_Triplets, "PairClassification", "triplet_success"),
    "pairs": (_Pairs, "STS", "cosine_spearman"),
    "clustering": (_Clustering, "Clustering", "v_measure"),
}
"""Kind of task: its class here, its type in mteb's closed list, and the name of its score."""


def paper_tasks(folder: str | Path | None = None) -> list[AbsTask]:
    """The paper's own evaluation sets as tasks for `mteb.evaluate`, with any model of mteb.

    A task has the name of its data set; sets with two questions are two tasks, and the paper reports their harmonic
    mean. Triplets are scored by the share with cos(a, p) > cos(a, n), pairs by the Spearman correlation of the cosine,
    clusters by the V-measure of one k-means over the whole set. The question is the task's prompt, for models that
    take one; a pair has its own, which goes with each text as "instruction" and is seen by `MtebEncoder`.

    Args:
        folder: local copies; see `inbedder_utils.data.load_set`, which reads each set when its task is run.

    Returns:
        Ten tasks: IntentEmotion-emotion, IntentEmotion-intent, InstructSTSB, NYTClustering-topic,
        NYTClustering-location, RateMyProf, Feedbacks, FewRel, FewNerd, FewEvent.
    """
    tasks = [task for task in SUITES["awareness"] + SUITES["robustness"] if task.kind in _TASK_CLASSES]
    return [_paper_task(task, part, folder) for task in tasks for part in task.parts]


def _paper_task(task: Task, part: str, folder: str | Path | None) -> AbsTask:
    """A class of its own for each, as mteb wants it: an instance loses its metadata when its data are unloaded."""
    name, (base, kind, main_score) = task.parts[part], _TASK_CLASSES[task.kind]
    public = PUBLIC_SETS[name]
    metadata = TaskMetadata(
        name=name,
        description=f"{task.name} of the InBedder paper: texts compared by their answers to an instruction.",
        type=kind,
        dataset={"path": public.hub, "revision": public.revision} | ({"name": public.config} if public.config else {}),
        reference="https://aclanthology.org/2024.acl-long.27/",
        eval_langs=["eng-Latn"],
        main_score=main_score,
        prompt=task.instructions.get(part),
    )
    return type(base.__name__.strip("_"), (base,), {"metadata": metadata, "folder": folder})()
