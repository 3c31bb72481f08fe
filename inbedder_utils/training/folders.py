"""A training run on disk: what it was started with, its log, its states, and the checkpoint that it ends as."""

import json
import os
import shutil
from collections import ChainMap, Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import PreTrainedModel, Trainer, TrainerCallback

from inbedder_utils.data.qa_sources import Row
from inbedder_utils.inference.phrases import spells_words
from inbedder_utils.registry import ANSWERS_FILE, SETTINGS_FILE
from inbedder_utils.storage.files import check_folder_can_be_written, replacing
from inbedder_utils.training.presets import Preset

RUN_FILE, LOG_FILE, CHECKPOINTS = "run.json", "log.csv", "checkpoints"
LOG_COLUMNS = ("step", "epoch", "loss", "learning_rate", "eval_loss", "eval_awareness")
BYTES_PER_PARAMETER = 28  # two checkpoints at once, each with weights and two moments in float32; the result
FEWEST_TEXTS = 3  # that have an answer, for others to choose it, too
BYTES_WITH_LORA = 3  # the result, in float16, and much smaller updates
SAVED_SETTINGS = tuple("family prompt pooling layer max_length max_new_tokens n_masks read_once emoji_as_words".split())
CARD = """---
language: en
---
# {name}

A {family} language model of {millions:.1f} million parameters, {origin}, that answers questions about a text in a word
or two (InBedder, ACL 2024). Its embedding of a text under a question is the state of the expected answer.

```python
from inbedder_utils import load_encoder
load_encoder("{folder}").encode(["The parcel never came, I am fuming."], "How does the customer feel?")
```

- Data: {rows} rows (text, question, short answer) from {sources}; mind the licences of what you trained on.
- Objective: cross-entropy on the answer tokens only{imitate}{read_once}.
- Recipe: {recipe}.
- Run: {step} steps, seed {seed}, {minutes:.1f} minutes on {device} since its last start; last loss {loss:.3f}{both},
  on held-out rows {eval_loss:.3f}; curve in `log.csv`, all settings in `run.json`.
- Weights: float16 safetensors.
"""


def check_output(folder: Path) -> None:
    """A ValueError if a folder holds something that is no run, an OSError if it can't be written."""
    if not (folder / RUN_FILE).is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and holds no training run: choose another output, or empty it")
    check_folder_can_be_written(folder, "choose another output")


def prepare(folder: Path, run: dict[str, Any], parameters: int) -> None:
    """Make the folder of a run, or find that it holds the beginning of this very run.

    `run` is what it is started with, and a later start must agree with it; `parameters` (0 for a small model) says how
    much space is needed.

    Raises:
        ValueError: if the folder holds something else: a finished model, a run with other settings, other files.
        OSError: if it can't be written, or there is not enough space.
    """
    check_output(folder)
    run = json.loads(json.dumps(run))
    if (folder / RUN_FILE).is_file():
        started = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        started = {"processes": run["processes"]} | started  # older runs don't say how many there were
        if started != run and (folder / LOG_FILE).exists():  # a start that failed before its first step is no run
            fix = "choose another output, or delete it"
            raise ValueError(f"{folder} holds a run with other settings ({_differences(started, run)}): {fix}")
        if (folder / SETTINGS_FILE).is_file():
            raise ValueError(f"{folder} holds this run, finished: load it, or delete it to train again")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = parameters * (BYTES_WITH_LORA if run.get("lora") else BYTES_PER_PARAMETER)
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB of free space; a run of {parameters / 1e6:,.0f} million parameters may "
            f"take {needed / 1e9:.1f} GB with its checkpoints: make room, or choose another output"
        )
    with replacing(folder / RUN_FILE) as file:
        file.write(json.dumps(run, indent=2).encode() + b"\n")


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    old, new = (run | run["settings"] for run in (old, new))
    changed = [name for name in sorted((old.keys() | new.keys()) - {"settings"}) if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {old.get(name)!r} instead of {new.get(name)!r}" for name in changed)


def last_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint of a run; what a killed run left half-written is not taken for one."""
    steps = {}
    for path in (folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json"):
        try:
            steps[json.loads(path.read_text(encoding="utf-8"))["global_step"]] = str(path.parent)
        except ValueError:  # the Trainer writes this file last: it was killed here
            continue
    return steps[max(steps)] if steps else None


class RunLog(TrainerCallback):
    """Writes the log of a run whenever there is something new, as a whole: a resumed run leaves no double lines."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_FILE

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write all that is known so far."""
        if state.is_world_process_zero:
            write_log(self.path, state.log_history)


def write_log(path: Path, history: list[dict[str, Any]]) -> None:
    """Write a Trainer's history as CSV: a line per step that was logged, with columns `LOG_COLUMNS`."""
    lines: dict[int, dict[str, str]] = {}
    for entry in history:
        known = {name: f"{entry[name]:.6g}" for name in LOG_COLUMNS if name in entry}
        lines.setdefault(entry["step"], {}).update(known)
    table = pd.DataFrame([lines[step] for step in sorted(lines)], columns=LOG_COLUMNS)
    with replacing(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")


def finish(trainer: Trainer, folder: Path, recipe: Preset, rows: Sequence[Row]) -> None:
    """Turn the folder of a run into that of a checkpoint, with everything that `load_encoder` reads.

    The trainer is an `inbedder_utils.training.trainer.AnswerTrainer` that has trained; all processes call this.
    """
    lm = trainer.accelerator.unwrap_model(trainer.model)
    lm = lm.merge_and_unload() if hasattr(lm, "merge_and_unload") else lm
    lm = gather(lm) if trainer.is_fsdp_enabled else lm  # on all processes: each gives its part
    if not trainer.is_world_process_zero():
        return
    finished = folder / CHECKPOINTS / "finished"  # so that a killed run leaves nothing behind that isn't cleared away
    lm.to(torch.float16).save_pretrained(finished)
    trainer.tokenizer.save_pretrained(finished)
    settings = {name: getattr(trainer.checkpoint, name) for name in SAVED_SETTINGS}
    (finished / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (finished / "README.md").write_text(_card(recipe, lm, trainer, folder, len(rows)), encoding="utf-8")
    if recipe.imitate and spells_words(trainer.tokenizer):  # only then masks left over learn the end token
        answers = {(row["input"], " ".join(row["output"].casefold().split())) for row in rows}
        texts = Counter(answer for _, answer in sorted(answers))
        frequent = [answer for answer, n in texts.most_common() if n >= FEWEST_TEXTS]
        (finished / ANSWERS_FILE).write_text("".join(f"{answer}\n" for answer in frequent), encoding="utf-8")
    for path in sorted(finished.iterdir(), key=lambda path: path.name == SETTINGS_FILE):
        os.replace(path, folder / path.name)  # the settings, without which it is not a checkpoint, come last
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def gather(lm: PreTrainedModel) -> PreTrainedModel:
    """Gather a model that is spread over several processes, each of which calls this.

    The first of them gets the whole model on the CPU, the others one without weights.
    """
    weights = get_model_state_dict(lm, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    with torch.device("meta"):
        whole = type(lm)(lm.config)
    if weights:
        whole.load_state_dict(weights, assign=True)
        whole.tie_weights()
    return whole


def _card(recipe: Preset, lm: PreTrainedModel, trainer: Trainer, folder: Path, n_rows: int) -> str:
    """Fill in the model card of a run that has finished and will be loaded from a folder."""
    last = ChainMap(*reversed(trainer.state.log_history), {"loss": float("nan")})  # a very short run may log no loss
    kept = ("learning_rate", "warmup", "batch_size", "epochs", "max_length", "max_answer", "shorten_answers", "muon")
    return CARD.format(
        name=recipe.name,
        folder=folder.as_posix(),
        family=trainer.checkpoint.family,
        millions=lm.num_parameters() / 1e6,
        origin=f"started from {recipe.base}" if recipe.base else "trained from random weights",
        rows=n_rows,
        sources=", ".join(part.source for part in recipe.data),
        imitate="; the masks also learn to be like the base's own embedding of the answer" * bool(recipe.imitate),
        read_once="; the text does not see the question" * trainer.checkpoint.read_once,
        recipe=", ".join(f"{name} {getattr(recipe, name)}" for name in kept),
        seed=trainer.args.seed,
        minutes=last["train_runtime"] / 60,
        device=trainer.args.device.type.upper(),
        both=" with the second loss in it" * bool(recipe.imitate),
        **last,
    )
