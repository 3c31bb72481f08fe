"""The verb `train`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli.shared import Quiet, clean_errors, example, has_bars

app = typer.Typer()
BASE_HELP = "The model to start from: a hub id, a folder, or mini.  [default: the preset's]"
DATA_HELP = (
    "Rows to learn from, again for more: .jsonl files (input, instruction, output) or hub ids.  [default: the preset's]"
)
OUTPUT_HELP = "Where the checkpoint goes.  [default: runs/PRESET]"
PRESET_HELP = "roberta-large, opt-1.3b, opt-2.7b, llama-2-7b, tiny or mini.  [default: the one for the base model]"
HELD_OUT_HELP = "Rows to evaluate on.  [default: the preset's, or a part of the data]"
LORA_HELP = (
    "Train low-rank updates only (needs peft); the paper's model trained so clusters its news badly (docs/training.md)."
)
EVAL_STEPS_HELP = "Steps between evaluations and saved states.  [default: a tenth of the run]"


@app.command(epilog=example("train --base roberta-large --data KomeijiForce/Inbedder-Pretrain-Data --output runs/mine"))
def train(
    base: Annotated[str | None, typer.Option(metavar="NAME", help=BASE_HELP)] = None,
    data: Annotated[list[str] | None, typer.Option(metavar="SOURCE", help=DATA_HELP)] = None,
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help=OUTPUT_HELP)] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help=PRESET_HELP)] = None,
    held_out: Annotated[str | None, typer.Option(metavar="SOURCE", help=HELD_OUT_HELP)] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows per step, over all devices.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop early, for a quick look.")] = None,
    eval_steps: Annotated[int | None, typer.Option(min=1, help=EVAL_STEPS_HELP)] = None,
    lora: Annotated[bool, typer.Option("--lora", help=LORA_HELP)] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda or mps.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model to answer questions; a run that was killed goes on where it was.

    Several GPUs: torchrun --nproc_per_node=N -m inbedder_utils train ...
    """
    with clean_errors():
        from inbedder_utils import training

        folder = training.train(
            base,
            data,
            output,
            preset=preset,
            held_out=held_out,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_steps=max_steps,
            eval_steps=eval_steps,
            lora=lora,
            seed=seed,
            device=device,
            show_progress_bar=has_bars(quiet),
        )
        if int(os.environ.get("RANK", 0)) == 0:
            typer.echo(f"the checkpoint is in {folder}: load_encoder({str(folder)!r})")
