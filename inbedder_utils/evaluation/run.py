"""Run a suite of tasks; each result is a file, so that what is done is not done again."""

import json
import time
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pandas import DataFrame

from inbedder_utils.checks import as_list, as_path, integer, one_of, short
from inbedder_utils.data import load_set
from inbedder_utils.evaluation.robustness import instruction_lists
from inbedder_utils.evaluation.scoring import Embedding, task_scores
from inbedder_utils.evaluation.tasks import SUITES, Task
from inbedder_utils.registry import FAMILY_POOLINGS
from inbedder_utils.storage.files import replacing
from inbedder_utils.storage.identity import identity


def suite_tasks(suite: str) -> list[Task]:
    """The tasks of one of `SUITES`, or of "all"; an unknown name is a ValueError."""
    one_of("suite", suite, [*SUITES, "all"])
    return [task for name, tasks in SUITES.items() if suite in (name, "all") for task in tasks]


def result_folder(output: str | Path, checkpoint: str) -> Path:
    """Where the results of a checkpoint are: "/" in its name becomes "__"."""
    return as_path("output", output) / checkpoint.strip("/.~").replace("/", "__")


def evaluate(
    encoder: Any,
    tasks: Sequence[Task],
    output: str | Path = "results",
    *,
    poolings: Sequence[str] | Literal["all"] | None = None,
    layers: Sequence[int] | Literal["all"] | None = None,
    folder: str | Path | None = None,
    instructions: str | Path | None = None,
    seeds: int = 5,
    show_progress_bar: bool = False,
) -> list[Path]:
    """Score an embedder on tasks, and write `output/CHECKPOINT/TASK.json` for each as soon as it is done.

    A result that is there, of the same model, settings, texts and instructions, is kept.

    Args:
        encoder: an `Encoder`, or anything with `encode(texts, instruction)` and a `checkpoint`
            (see `inbedder_utils.evaluation.baselines`).
        tasks: for instance `suite_tasks("small")`.
        output: made if it isn't there.
        poolings: any of the family's poolings, all read in one pass, or "all"; None for the encoder's own, which
            mteb's tasks are scored at in any case.
        layers: any layers, likewise.
        folder: local copies of public sets (see `inbedder_utils.data.load_set`).
        instructions: a JSON file for the tests of robustness (see `inbedder_utils.evaluation.robustness`).
        seeds: of k-means.
        show_progress_bar: count texts, and name the tasks.

    Returns:
        The files, task by task.

    Raises:
        ValueError, TypeError: for settings that aren't accepted, or sets that aren't what they should be.
        OSError: if a set can't be had, or results can't be written.
    """
    if not hasattr(encoder, "checkpoint") or not callable(getattr(encoder, "encode", None)):
        raise TypeError(f"encoder must have encode(texts, instruction) and a checkpoint, got {short(encoder)}")
    tasks = _checked_tasks(tasks)
    seeds = integer("seeds", seeds, at_least=1)
    poolings, layers = _sweep_settings(encoder, poolings, layers)
    embed = Embedding(encoder, poolings, layers)
    layers = None if layers is None else list(map(int, layers))  # JSON takes no integers of numpy
    loaded = [(task, *_load_texts(task, folder, instructions)) for task in tasks]  # what is missing shows at once
    results = result_folder(output, encoder.checkpoint.name)
    results.mkdir(parents=True, exist_ok=True)
    common = identity(encoder) | {"poolings": poolings, "layers": layers, "seeds": seeds}
    for task, tables, lists in loaded:
        if show_progress_bar:
            print(f"{task.name}:", flush=True)  # noqa: T201
        texts = {
            part: sha256(table.to_json(orient="values").encode()).hexdigest()[:16] for part, table in tables.items()
        }
        settings = common | {"instructions": lists or task.instructions, "texts": texts}
        if task.kind == "mteb":
            settings |= {"mteb": version("mteb")}
        file, started = results / f"{task.name}.json", time.perf_counter()
        if not _is_done(file, settings):
            scores = task_scores(task, tables, embed, lists, seeds, show_progress_bar)
            _write(file, task.name, encoder.checkpoint.name, settings, scores, time.perf_counter() - started)
    return [results / f"{task.name}.json" for task in tasks]


def _checked_tasks(tasks: Any) -> list[Task]:
    tasks = as_list("tasks", tasks, "pass suite_tasks('small')")
    for i, task in enumerate(tasks):
        if not isinstance(task, Task):
            raise TypeError(f"tasks[{i}] is {short(task)}, not a Task: pass suite_tasks('small'), or some of them")
    return tasks


def _sweep_settings(encoder: Any, poolings: Any, layers: Any) -> tuple[list[str] | None, list[int] | None]:
    """The poolings and layers meant, if not only the encoder's own."""
    checkpoint = encoder.checkpoint
    if isinstance(poolings, str) and poolings == "all":
        poolings = [name for name in FAMILY_POOLINGS[checkpoint.family] if name not in ("re_encode", "own")] or None
    if poolings is not None:
        poolings = as_list("poolings", poolings, "pass [pooling], or 'all'")
    if isinstance(layers, str) and layers == "all":
        pooling = poolings[0] if poolings else checkpoint.pooling
        layers = range(encoder.layer_index(pooling, -1) + 1) if hasattr(encoder, "layer_index") else [-1]
    return poolings, None if layers is None else as_list("layers", layers, "pass [layer], or 'all'")


def _load_texts(task: Task, folder: Any, instructions: Any) -> tuple[dict[str, DataFrame], dict | None]:
    """The texts of a task, part by part, and its lists of instructions; mteb loads its own."""
    if task.kind == "mteb":
        return {}, None
    tables = {part: load_set(data, folder) for part, data in task.parts.items()}
    return tables, instruction_lists(task.parts[""], instructions) if task.kind == "robustness" else None


def _is_done(file: Path, settings: dict[str, Any]) -> bool:
    """Whether a file has scores that were measured with the same settings."""
    settings = json.loads(json.dumps(settings))
    try:
        return json.loads(file.read_text(encoding="utf-8"))["settings"] == settings
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False  # not there, not ours, or damaged: it is measured and replaced


def _write(
    file: Path, task: str, name: str, settings: dict[str, Any], scores: list[dict[str, Any]], seconds: float
) -> None:
    libraries = ("inbedder-utils", "torch", "transformers", "scikit-learn", "numpy")
    result = {"task": task, "checkpoint": name, "settings": settings}
    result |= {"versions": {library: version(library) for library in libraries}}
    result |= {"seconds": round(seconds, 1), "scores": scores}
    with replacing(file) as out:
        out.write((json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
