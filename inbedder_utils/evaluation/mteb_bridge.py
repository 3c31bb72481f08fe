"""The bridge to mteb: our encoders as its models, its tasks with our instructions, our benchmark as its tasks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

try:
    import mteb
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import BatchedInput, PromptType

    from inbedder_utils.evaluation.mteb_tasks import instruction_tasks
except ImportError as error:
    raise ImportError(f"{error}: install what evaluating needs, pip install -e '.[evaluate]'") from error

from inbedder_utils.checks import checked_questions, first_line
from inbedder_utils.evaluation.tasks import Task
from inbedder_utils.storage.identity import name_and_revision

__all__ = ["MtebEncoder", "generic_score", "instruction_tasks"]


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
        """Embed the texts of a task under its instruction: (n, d) float32.

        As mteb calls it, with a split and a subset that are not used; `options` go to the encoder's `encode`.

        Raises:
            ValueError: if there is no instruction for the task.
        """
        texts = [text for batch in inputs for text in batch["text"]]
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
