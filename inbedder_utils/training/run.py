"""Training: a language model learns to answer questions about texts in a word or two (paper, section 3).

Each row is a prompt and a short answer; the loss is on the answer alone. The state at which the answer is predicted
then knows what the answer is: it becomes the embedding.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from inbedder_utils.checks import as_list, as_path, integer, seed_number
from inbedder_utils.data.qa_sources import Row
from inbedder_utils.evaluation.awareness import answer_triplets
from inbedder_utils.loading.devices import training_device
from inbedder_utils.loading.hub import quiet
from inbedder_utils.loading.settings import fitting_length
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import Example, encode_rows, make_collator
from inbedder_utils.training.folders import RunLog, check_output, finish, last_checkpoint, prepare
from inbedder_utils.training.losses import answer_vectors
from inbedder_utils.training.muon import MuonWithAdam, bfloat16_is_fast
from inbedder_utils.training.presets import Part, Preset, preset_for
from inbedder_utils.training.rows import held_out_rows, load_parts, mean_length, set_aside, shortened, warn_of_overlap
from inbedder_utils.training.start import add_lora, find_start, load_start
from inbedder_utils.training.trainer import AnswerTrainer, training_arguments


def train(
    base: str | Path | None = None,
    data: str | Path | Sequence[str | Path] | None = None,
    output: str | Path | None = None,
    *,
    preset: str | Preset | None = None,
    held_out: str | Path | None = None,
    epochs: float | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_steps: int | None = None,
    eval_steps: int | None = None,
    lora: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
    show_progress_bar: bool = True,
) -> Path:
    """Train a model, and write a folder that `load_encoder` reads.

    A run that was killed goes on from its last checkpoint when it is started again in the same way, with the same data.
    Several GPUs: start with `torchrun --nproc_per_node=N -m inbedder_utils train ...`, and again with the same N.

    Args:
        base: the model to start from: a hub id, a folder, or a bundled checkpoint; None for the preset's own.
        data: one or more of what `inbedder_utils.training.rows.load_rows` reads; None for the preset's own.
        output: folder for the result; None for `runs/<preset>`.
        preset: a recipe or its name in `inbedder_utils.training.presets.PRESETS`; None for the one made for `base`,
            else the paper's settings.
        held_out: rows to evaluate on while training; None for the preset's, or a part of the data.
        epochs: passes over the data.
        learning_rate: highest learning rate.
        batch_size: rows per step, over all devices and accumulated batches.
        max_steps: stop early, for a quick look; the learning rate falls to zero by then.
        eval_steps: steps between evaluations, and between checkpoints; None for at most ten of them.
        lora: train low-rank updates only (needs peft), merged into the weights at the end; far below full training on
            one of the paper's three tests of awareness (see docs/training.md).
        seed: of data, weights and order; on one machine the same seed gives the same weights.
        device: None for the best there is.
        show_progress_bar: draw a bar that counts steps.

    Returns:
        The folder: weights, tokenizer, settings, `log.csv`, model card.

    Raises:
        TypeError: for a number, name or path that is something else.
        ValueError: for unknown settings, bad data, or if `output` holds something else.
        OSError: if base or data can't be read, or `output` can't be written or has too little space.
    """
    recipe = _recipe(preset, base, data, held_out)
    recipe = recipe.with_settings(epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    if lora:  # low-rank updates are merged at the end, which needs whole weights; and Muon is for whole matrices
        recipe = recipe.with_settings(muon=False, sharded=False)
    if recipe.batch_size % (processes := int(os.environ.get("WORLD_SIZE", 1))):
        fix = f"choose a multiple of {processes}, or another number of processes"
        raise ValueError(f"batch_size={recipe.batch_size} can't be shared equally by {processes} processes: {fix}")
    given = {"max_steps": max_steps, "eval_steps": eval_steps}
    steps = {name: None if value is None else integer(name, value, at_least=1) for name, value in given.items()}
    seed, where = seed_number(seed), training_device(device)
    folder = as_path("output", output) if output is not None else Path("runs") / recipe.name
    check_output(folder)
    checkpoint, source, parameters = find_start(recipe)
    first = int(os.environ.get("RANK", 0)) == 0
    say = show_progress_bar and first
    rows, held = _rows(recipe, seed, say)
    if first:  # torchrun stops the others if it fails here
        run = {"settings": asdict(recipe), "seed": seed, "max_steps": steps["max_steps"], "lora": lora}
        prepare(folder, run | {"processes": processes, "rows": _digest(rows, held)}, parameters)
    set_seed(seed)
    lm, tokenizer = load_start(recipe, checkpoint, source, rows, seed, say)
    options = steps | {"seed": seed, "device": where, "disable_tqdm": not say}
    trainer = _trainer(recipe, checkpoint, lm, tokenizer, rows, held, folder, lora, options)
    with quiet(not say):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        finish(trainer, folder, recipe, rows)
    return folder


def _recipe(preset: str | Preset | None, base: str | Path | None, data: Any, held_out: str | Path | None) -> Preset:
    """The recipe with what was given in place of its own."""
    recipe = preset_for(preset, _name("base", base))
    if data is not None:
        sources = [data] if isinstance(data, str | Path) else as_list("data", data, "name one source or several")
        if not sources:
            raise ValueError("data is empty: name at least one source, or leave it out for the preset's own")
        # What the preset holds out goes with its own data; "" sets a part of these aside.
        recipe = recipe.with_settings(data=tuple(Part(_name("data", source)) for source in sources), held_out="")
    return recipe.with_settings(held_out=_name("held_out", held_out))


def _name(what: str, given: str | Path | None) -> str | None:
    if given is None:
        return None
    as_path(what, given)  # a hub id could be one, too
    return str(given)


def _rows(recipe: Preset, seed: int, say: bool) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows held out, with short answers."""
    rows = load_parts(recipe.data, seed)
    if recipe.held_out:
        held = held_out_rows(recipe.held_out, seed)
        warn_of_overlap(rows, held)
    else:
        rows, held = set_aside(rows, seed=seed)
    if not held or not rows:
        raise ValueError("the data holds too few texts to set some aside: give more, or name held_out")
    if recipe.shorten_answers:
        before, rows, held = mean_length(rows), shortened(rows), shortened(held)
        if say:
            lengths = f"from {before:.2f} to {mean_length(rows):.2f} words on average"
            tqdm.write(f"{len(rows)} rows, answers shortened {lengths}")
    return rows, held


def _digest(rows: list[Row], held: list[Row]) -> str:
    """What tells this data from any other."""
    digest = hashlib.sha256(json.dumps([rows, held]).encode()).hexdigest()
    return f"{len(rows)} and {len(held)} held out, sha256 {digest[:16]}"


def _trainer(
    recipe: Preset,
    checkpoint: Checkpoint,
    lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[Row],
    held: list[Row],
    folder: Path,
    lora: bool,
    options: dict[str, Any],
) -> AnswerTrainer:
    """Put together what trains; `options` are those of `training_arguments`."""
    # The answer, which may be longer than those that the model is to give, ends within its positions.
    fitted = fitting_length(replace(checkpoint, max_new_tokens=recipe.max_answer + 1), lm.config, None)

    def encoded(part: list[Row]) -> list[Example]:
        vectors = answer_vectors(lm, tokenizer, [row["output"] for row in part]) if recipe.imitate else None
        return encode_rows(part, tokenizer, fitted, recipe.max_answer, vectors)

    examples, held_examples = encoded(rows), encoded(held)
    arguments = training_arguments(recipe, folder, len(rows), len(examples), **options)
    if recipe.muon and bfloat16_is_fast(arguments.device):
        lm.to(arguments.device, torch.bfloat16)  # before the optimizer, which keeps a copy in float32 beside it
        if arguments.use_cpu and checkpoint.read_once:
            lm.set_attn_implementation("eager")  # steps of `mini` take 13% less time than with torch's own attention
    return AnswerTrainer(
        model=add_lora(lm, checkpoint.family) if lora else lm,
        args=arguments,
        train_dataset=examples,
        eval_dataset=held_examples,
        data_collator=make_collator(checkpoint, tokenizer, lm),
        optimizers=(MuonWithAdam(lm, recipe.learning_rate) if recipe.muon else None, None),
        callbacks=[RunLog(folder)],
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        triplets=[] if arguments.fsdp else answer_triplets(held),
        imitate=recipe.imitate,
    )
