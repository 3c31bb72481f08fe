"""What training leaves behind: weights, tokenizer, settings and model card."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from inbedder_utils.registry import SETTINGS_FILE, Checkpoint
from inbedder_utils.training.presets import Preset

SAVED_SETTINGS = ("family", "prompt", "pooling", "layer", "max_length", "max_new_tokens", "n_masks", "read_once")
CARD = """---
language: en
---
# {name}

A {family} language model of {millions:.1f} million parameters, {origin}, that answers questions about a text shortly
(InBedder, ACL 2024). Its embedding of a text under a question is the state of the expected answer.

```python
from inbedder_utils import load_encoder
load_encoder("{folder}").encode(["The parcel never came, I am fuming."], "How does the customer feel?")
```

- Data: {rows} rows (text, question, short answer) from {sources}; mind the licences of what you trained on.
- Objective: cross-entropy on the answer tokens only{imitate}{read_once}.
- Recipe: {recipe}.
- Run: {steps} steps, seed {seed}, {minutes:.1f} minutes on {device} since its last start; last loss {loss:.3f}{both},
  on held-out rows {eval_loss:.3f}; curve in `log.csv`, all settings in `run.json`.
- Weights: float16 safetensors.
"""


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> None:
    """Write everything that `load_encoder` reads.

    Args:
        folder: a new folder.
        model: trained model; it is turned into float16.
        tokenizer: its tokenizer.
        checkpoint: how to get its embedding.
    """
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {name: value for name, value in asdict(checkpoint).items() if name in SAVED_SETTINGS}
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def in_one_piece(model: PreTrainedModel) -> PreTrainedModel:
    """Gather a model that is spread over several processes, each of which calls this.

    Returns:
        On the first process the whole model on the CPU; on the others one without weights.
    """
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    with torch.device("meta"):
        whole = type(model)(model.config)
    if weights:
        whole.load_state_dict(weights, assign=True)
        whole.tie_weights()
    return whole


def card(
    recipe: Preset, checkpoint: Checkpoint, model: PreTrainedModel, trainer: Trainer, folder: Path, rows: int
) -> str:
    """Fill in the model card of a run that has finished and will be loaded from a folder."""
    history = trainer.state.log_history

    def last(name: str) -> float:
        return next((entry[name] for entry in reversed(history) if name in entry), float("nan"))

    kept = ("learning_rate", "warmup", "batch_size", "epochs", "max_length", "max_answer", "shorten_answers", "muon")
    return CARD.format(
        name=recipe.name,
        folder=folder.as_posix(),
        family=checkpoint.family,
        millions=model.num_parameters() / 1e6,
        origin=f"started from {recipe.base}" if recipe.base else "trained from random weights",
        rows=rows,
        sources=", ".join(part.source for part in recipe.data),
        imitate="; the masks also learn to be like the base's own embedding of the answer" * bool(recipe.imitate),
        read_once="; the text does not see the question" * checkpoint.read_once,
        recipe=", ".join(f"{name} {getattr(recipe, name)}" for name in kept),
        steps=history[-1]["step"],
        seed=trainer.args.seed,
        minutes=last("train_runtime") / 60,
        device=trainer.args.device.type.upper(),
        loss=last("loss"),
        both=" with the second loss in it" * bool(recipe.imitate),
        eval_loss=last("eval_loss"),
    )
