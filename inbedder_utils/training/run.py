"""Training: a language model learns to answer questions about texts in a word or two (paper, section 3).

Each row is a prompt and a short answer; the loss is on the answer alone. The state at which the answer is predicted
then knows what the answer is: it becomes the embedding.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from inbedder_utils.checks import as_list, as_path, integer, seed_number
from inbedder_utils.data.qa_sources import Row
from inbedder_utils.evaluation.awareness import answer_triplets
from inbedder_utils.loading.devices import training_device
from inbedder_utils.loading.hub import quiet
from inbedder_utils.registry import Checkpoint
from inbedder_utils.training.examples import Example, encode_rows, make_collator
from inbedder_utils.training.folders import CHECKPOINTS, RunLog, finish, last_checkpoint, prepare
from inbedder_utils.training.losses import answer_vectors
from inbedder_utils.training.muon import MuonWithAdam
from inbedder_utils.training.presets import Part, Preset, preset_for
from inbedder_utils.training.rows import held_out_rows, load_parts, mean_length, set_aside, shortened
from inbedder_utils.training.start import add_lora, count_parameters, find_start, load_start
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

    A run that was killed goes on from its last checkpoint when it is started again in the same way. Several GPUs:
    start with `torchrun --nproc_per_node=N -m inbedder_utils train ...`.

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
        lora: train low-rank updates only (needs peft), merged into the weights at the end.
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
    recipe = preset_for(preset, _name("base", base) if base is not None else None).with_settings(
        data=_parts(data),
        held_out=_name("held_out", held_out) if held_out is not None else ("" if data is not None else None),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    max_steps, eval_steps = (
        None if value is None else integer(name, value, at_least=1)
        for name, value in (("max_steps", max_steps), ("eval_steps", eval_steps))
    )
    seed = seed_number(seed)
    where = training_device(device)
    folder = as_path("output", output) if output is not None else Path("runs") / recipe.name
    checkpoint, source, config = find_start(recipe)
    run = {"settings": asdict(recipe), "seed": seed, "max_steps": max_steps, "lora": lora}
    first = int(os.environ.get("RANK", 0)) == 0
    if first:  # torchrun stops the others if it fails here
        prepare(folder, run, count_parameters(checkpoint, config) if config else 0)
    set_seed(seed)
    show_progress_bar = show_progress_bar and first
    rows, held = _rows(recipe, seed, show_progress_bar)
    model, tokenizer = load_start(recipe, checkpoint, source, rows, seed, show_progress_bar)
    examples, held_examples = (_examples(recipe, model, tokenizer, checkpoint, part) for part in (rows, held))
    arguments = training_arguments(
        recipe,
        folder / CHECKPOINTS,
        rows=len(rows),
        examples=len(examples),
        max_steps=max_steps,
        eval_steps=eval_steps,
        sharded=recipe.sharded and not lora,  # low-rank updates are merged at the end, which needs whole weights
        seed=seed,
        device=where,
        disable_tqdm=not show_progress_bar,
    )
    trainer = AnswerTrainer(
        model=add_lora(model, checkpoint.family) if lora else model,
        args=arguments,
        train_dataset=examples,
        eval_dataset=held_examples,
        data_collator=make_collator(checkpoint, tokenizer, model),
        optimizers=(MuonWithAdam(model, recipe.learning_rate) if recipe.muon and not lora else None, None),
        callbacks=[RunLog(folder)],
        tokenizer=tokenizer,
        checkpoint=checkpoint,
        triplets=[] if arguments.fsdp else answer_triplets(held),
        imitate=recipe.imitate,
    )
    with quiet(not show_progress_bar):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        finish(trainer, folder, recipe, len(rows))
    return folder


def _parts(data: str | Path | Sequence[str | Path] | None) -> tuple[Part, ...] | None:
    if data is None:
        return None
    sources = [data] if isinstance(data, str | Path) else as_list("data", data, "name one source or several")
    if not sources:
        raise ValueError("data is empty: name at least one source, or leave it out for the preset's own")
    return tuple(Part(_name("data", source)) for source in sources)


def _name(what: str, given: str | Path) -> str:
    as_path(what, given)  # a hub id could be one, too
    return str(given)


def _rows(recipe: Preset, seed: int, say: bool) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows held out, with short answers."""
    rows = load_parts(recipe.data, seed)
    rows, held = (rows, held_out_rows(recipe.held_out, seed)) if recipe.held_out else set_aside(rows, seed=seed)
    if not held or not rows:
        raise ValueError("the data holds too few texts to set some aside: give more, or name held_out")
    if recipe.shorten_answers:
        before, rows, held = mean_length(rows), shortened(rows), shortened(held)
        if say:
            tqdm.write(
                f"{len(rows)} rows, answers shortened from {before:.2f} to {mean_length(rows):.2f} words on average"
            )
    return rows, held


def _examples(
    recipe: Preset, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, rows: list[Row]
) -> list[Example]:
    vectors = answer_vectors(model, tokenizer, [row["output"] for row in rows]) if recipe.imitate else None
    return encode_rows(rows, tokenizer, checkpoint, recipe.max_answer, vectors)
