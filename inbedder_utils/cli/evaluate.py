"""The verb `evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli.shared import Device, Dtype, Quiet, clean_errors, example, has_bars

app = typer.Typer()
MODELS_HELP = (
    "A listed name, a folder, or a hub id; again for more. Baselines: tfidf, random-NAME (random weights), "
    "instructed-NAME (a sentence embedder with the question in front), stored-all-MiniLM-L6-v2 (shipped texts, but not "
    "the pairs).  [default: mini]"
)
SUITE_HELP = "small (ships with the package), awareness, robustness, generic (needs mteb), or all."
OUTPUT_HELP = "Where results go, and are taken up again."
POOLINGS_HELP = "Compare poolings in one pass: names with commas, or all.  [default: the checkpoint's]"
LAYERS_HELP = "Compare layers in one pass: numbers with commas, or all.  [default: the checkpoint's]"
LOCAL_HELP = "Local copies of public sets, instead of the hub.  [default: the folder in INBEDDER_DATA]"
INSTRUCTIONS_HELP = "A JSON file with instructions for the test of robustness, instead of the authors'."


@app.command(epilog=example("evaluate --checkpoint mini --checkpoint tfidf --suite small"))
def evaluate(
    checkpoint: Annotated[list[str] | None, typer.Option(metavar="NAME", help=MODELS_HELP)] = None,
    suite: Annotated[str, typer.Option(metavar="NAME", help=SUITE_HELP)] = "small",
    output: Annotated[Path, typer.Option(metavar="FOLDER", help=OUTPUT_HELP)] = Path("results"),
    poolings: Annotated[str | None, typer.Option(metavar="NAMES", help=POOLINGS_HELP)] = None,
    layers: Annotated[str | None, typer.Option(metavar="NUMBERS", help=LAYERS_HELP)] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help=LOCAL_HELP)] = None,
    instructions: Annotated[Path | None, typer.Option(metavar="FILE", help=INSTRUCTIONS_HELP)] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of k-means.")] = 5,
    dtype: Dtype = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Score models on the paper's tests, beside the published numbers; a run that was killed goes on where it was."""
    with clean_errors():
        layer_numbers = layers if layers in (None, "all") else _whole_numbers("layers", layers)
        from inbedder_utils import evaluation  # imports torch: not before the cheap checks
        from inbedder_utils.paper import summary

        tasks, models = evaluation.suite_tasks(suite), checkpoint or ["mini"]
        for name in models:
            evaluation.evaluate(
                evaluation.load_embedder(name, dtype=dtype, device=device),
                tasks,
                output,
                poolings=poolings if poolings in (None, "all") else poolings.split(","),
                layers=layer_numbers,
                folder=data,
                instructions=instructions,
                seeds=seeds,
                show_progress_bar=has_bars(quiet),
            )
        table = summary(output, models, [task.name for task in tasks])
        typer.echo(table.to_string(index=False, na_rep="", float_format="{:.2f}".format))
        typer.echo(f"percent; everything is in {output}")


def _whole_numbers(what: str, given: str) -> list[int]:
    """Read "0,6,12" as [0, 6, 12]."""
    try:
        return [int(number) for number in given.split(",")]
    except ValueError as error:
        raise ValueError(f"{what} must be numbers with commas, such as 0,6,12, or all; got {given!r}") from error
