"""A training run on disk: what it was started with, its log, its checkpoints, and the folder that it ends as."""

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from inbedder_utils.registry import SETTINGS_FILE
from inbedder_utils.storage.files import check_folder_can_be_written, replacing

RUN_FILE, LOG_FILE, CHECKPOINTS = "run.json", "log.csv", "checkpoints"
COLUMNS = ("step", "epoch", "loss", "learning_rate", "eval_loss", "eval_awareness")
BYTES_PER_PARAMETER = 28  # two checkpoints at once, each with weights and two moments in float32; the result
BYTES_WITH_LORA = 3  # the result, in float16, and much smaller updates


def prepare(folder: Path, run: dict[str, Any], parameters: int) -> None:
    """Make the folder of a run, or find that it holds the beginning of this very run.

    Args:
        folder: of the run.
        run: what it is started with; a later start must agree with it.
        parameters: number of weights, to see whether there is space for them; 0 if it is a small model.

    Raises:
        ValueError: if the folder holds something else: a finished model, a run with other settings, other files.
        OSError: if it can't be written, or there is not enough space.
    """
    run = json.loads(json.dumps(run))
    if (folder / RUN_FILE).is_file():
        started = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        if started != run and (folder / LOG_FILE).exists():  # a start that failed before its first step is no run
            changed = ", ".join(_differences(started, run))
            raise ValueError(
                f"{folder} holds a run with other settings ({changed}): choose another output, or delete it"
            )
        if (folder / SETTINGS_FILE).is_file():
            raise ValueError(f"{folder} holds this run, finished: load it, or delete it to train again")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and holds no training run: choose another output, or empty it")
    check_folder_can_be_written(folder, "choose another output")
    folder.mkdir(parents=True, exist_ok=True)
    free, needed = (
        shutil.disk_usage(folder).free,
        parameters * (BYTES_WITH_LORA if run.get("lora") else BYTES_PER_PARAMETER),
    )
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB of free space; a run of {parameters / 1e6:,.0f} million parameters may "
            f"take {needed / 1e9:.1f} GB with its checkpoints: make room, or choose another output"
        )
    with replacing(folder / RUN_FILE) as file:
        file.write(json.dumps(run, indent=2).encode() + b"\n")


def last_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint of a run; what a killed run left half-written is not taken for one."""
    found = {}
    for path in (folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json"):
        try:
            found[json.loads(path.read_text(encoding="utf-8"))["global_step"]] = str(path.parent)
        except ValueError:  # the Trainer writes this file last: it was killed here
            continue
    return found[max(found)] if found else None


class RunLog(TrainerCallback):
    """Writes the log of a run whenever there is something new, as a whole: a resumed run leaves no double lines."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_FILE

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write all that is known so far."""
        if state.is_world_process_zero:
            write_log(self.path, state.log_history)


def write_log(path: Path, history: list[dict[str, Any]]) -> None:
    """Write a Trainer's history as CSV: a line per step that was logged, with columns `COLUMNS`."""
    lines: dict[int, dict[str, Any]] = {}
    for entry in history:
        line = lines.setdefault(entry["step"], dict.fromkeys(COLUMNS, ""))
        for name in COLUMNS:
            if name in entry:
                line[name] = f"{entry[name]:.6g}"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines[step] for step in sorted(lines))
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def move_into_place(finished: Path, folder: Path) -> None:
    """Move a finished model's files beside the log; the settings, without which it is no checkpoint, come last."""
    for path in sorted(finished.iterdir(), key=lambda path: path.name == SETTINGS_FILE):
        os.replace(path, folder / path.name)
    finished.rmdir()
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    flat_old, flat_new = ({**run, **run["settings"]} for run in (old, new))
    names = sorted((flat_old.keys() | flat_new.keys()) - {"settings"})
    return [
        f"{name} {flat_old.get(name)!r} instead of {flat_new.get(name)!r}"
        for name in names
        if flat_old.get(name) != flat_new.get(name)
    ]
