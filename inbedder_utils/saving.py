"""What training leaves behind: a folder with weights, tokenizer, settings, loss curve and model card."""

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inbedder_utils.registry import SETTINGS_FILE, Checkpoint

if TYPE_CHECKING:
    from inbedder_utils.training import Preset

LOSS_FILE = "loss.csv"
CARD = """---
license: mit
language: en
---
# {name}

A causal language model of {millions:.1f} million parameters, trained from scratch to answer questions about the
generated texts of `inbedder_utils.qa_data` shortly. Its embedding of a text under a question is the state that
predicts the first answer token (last layer, after the final norm).

```python
from inbedder_utils import load_encoder
load_encoder("{name}").encode(["The parcel never came, I am fuming."], "How does the customer feel?")
```

- Data: {rows} rows (text, question, short answer) from the generator, seed {seed}; no text from elsewhere.
- Objective: cross-entropy on the answer and the end token only (InBedder, ACL 2024).
- Recipe: {recipe}; Muon for the matrices, Adam for the rest, cosine schedule, no weight decay.
- Run: {steps} steps, {minutes:.1f} minutes on {device}, last loss {loss:.3f}; curve in `{loss_file}`.
- Again: `python -m inbedder_utils train {name} --seed {seed}`
- Scores on held-out texts and questions: `inbedder_utils.evaluation.small_world_scores(encoder.encode)`
- Weights: float16 safetensors, trained in float32 with bfloat16 autocast where the device has it.
- Licence: MIT, weights included.
- Limits: it knows the vocabulary of its small world only (customer messages, news briefs, reviews; its own closed
  lists of answers). It is for teaching and tests, and no measure of what the method can do.
"""


def replaceable(folder: Path) -> Path:
    """Return the folder if training may write there: it is new, empty, or holds a checkpoint of ours.

    Raises:
        ValueError: if it holds something else.
    """
    if folder.exists() and not (folder / SETTINGS_FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"output {str(folder)!r} exists and holds no {SETTINGS_FILE}, so it is not a checkpoint that training may "
            "replace: choose a new folder, or empty this one"
        )
    return folder


def save(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: Checkpoint,
    log: list[dict[str, Any]],
    card: str,
) -> None:
    """Write everything that `load_encoder` reads, the loss curve and the model card.

    Args:
        folder: a new folder.
        model: trained model; it is turned into float16.
        tokenizer: its tokenizer.
        checkpoint: how to get its embedding.
        log: of the Trainer.
        card: model card in Markdown.
    """
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    kept = ("family", "prompt", "pooling", "layer", "max_length", "max_new_tokens")
    settings = {name: value for name, value in asdict(checkpoint).items() if name in kept}
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")
    with (folder / LOSS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "loss", "learning_rate"])
        writer.writerows(
            [entry["step"], f"{entry['loss']:.4f}", f"{entry['learning_rate']:.3e}"] for entry in log if "loss" in entry
        )


def write_card(recipe: "Preset", model: PreTrainedModel, log: list[dict[str, Any]], *, seed: int, rows: int) -> str:
    """Fill in the model card of a finished run."""
    losses = [entry["loss"] for entry in log if "loss" in entry]
    return CARD.format(
        name=recipe.name,
        millions=model.num_parameters() / 1e6,
        rows=rows,
        seed=seed,
        recipe=", ".join(f"{name} {value}" for name, value in asdict(recipe).items() if name != "name"),
        steps=log[-1]["step"],
        minutes=log[-1]["train_runtime"] / 60,
        device=model.device.type.upper(),
        loss=losses[-1] if losses else float("nan"),
        loss_file=LOSS_FILE,
    )


def move_into_place(finished: Path, folder: Path) -> None:
    """Put a finished folder where an older one may be; both are whole at any time."""
    old = finished.with_name("old")
    if folder.exists():
        folder.rename(old)
    finished.rename(folder)
    if old.exists():
        shutil.rmtree(old)
