"""The command line: `python -m inbedder_utils`, a thin layer over the package's functions."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer  # everything heavier is imported by the verb that needs it, so that --help is instant

app = typer.Typer(
    help="Ask a corpus a question, embed the expected answers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PACKAGE = Path(__file__).parent
ASK_HELP = 'The question, such as "How does the customer feel?"; one per call.'
TEXTS_HELP = "The texts: .txt (one per line), .csv, .tsv, .jsonl, .json or .parquet."
OUT_HELP = "Where the vectors go: .npy, .parquet or .csv; an existing file is replaced."
COLUMN_HELP = 'The column with the texts; not needed if there is only one, or one called "text".'
ANSWERS_HELP = "Also write the answers in words: a column in .parquet and .csv, a .answers.csv beside .npy."
ASK_ALL_HELP = 'A question, such as "What is the reviewer complaining about?"; again for more, to see how they relate.'
REPORT_HELP = (
    "Where report.html, assignments.csv and the figures go: a new or empty folder; a report there is replaced."
)
CLUSTERS_HELP = "How many clusters.  [default: the number from 2 to 12 that is most clearly apart]"
LABELS_HELP = "A column to compare the clusters with; they are made without it."

BASE_HELP = "The model to start from: a hub id, a folder, or mini.  [default: the preset's]"
DATA_HELP = (
    "Rows to learn from, again for more: .jsonl files (input, instruction, output) or hub ids.  [default: the preset's]"
)
OUTPUT_HELP = "Where the checkpoint goes.  [default: runs/PRESET]"
PRESET_HELP = "roberta-large, opt-1.3b, opt-2.7b, llama-2-7b, tiny or mini.  [default: the one for the base model]"
HELD_OUT_HELP = "Rows to evaluate on.  [default: the preset's, or a part of the data]"
MODELS_HELP = (
    "A listed name, a folder, or a hub id; again for more. Baselines: tfidf, random-NAME (random weights), "
    "instructed-NAME (a sentence embedder with the question in front).  [default: mini]"
)
SUITE_HELP = "small (ships with the package), awareness, robustness, generic (needs mteb), or all."
POOLINGS_HELP = "Compare poolings in one pass: names with commas, or all.  [default: the checkpoint's]"
LAYERS_HELP = "Compare layers in one pass: numbers with commas, or all.  [default: the checkpoint's]"
LOCAL_HELP = "Local copies of public sets, instead of the hub.  [default: the folder in INBEDDER_DATA]"
INSTRUCTIONS_HELP = "A JSON file with instructions for the test of robustness, instead of the authors'."
EVAL_STEPS_HELP = "Steps between evaluations and saved states.  [default: a tenth of the run]"


def _example(line: str) -> str:
    return f"\b\nExample:\n  python -m inbedder_utils {line}"


@contextmanager
def _clean_errors() -> Iterator[None]:
    """Print an error that is the user's to mend as one line; a bug keeps its traceback."""
    try:
        yield
    except (OSError, ImportError, ValueError, TypeError) as error:
        if isinstance(error, ValueError | TypeError) and not _is_ours(error.__traceback__):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(2) from error


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether an error was raised by this package, rather than by something it called."""
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback is not None and Path(traceback.tb_frame.f_code.co_filename).is_relative_to(PACKAGE)


@app.command(epilog=_example("checkpoints"))
def checkpoints() -> None:
    """List the models that can be loaded by name."""
    from inbedder_utils import list_checkpoints

    with _clean_errors():
        rows = [["name", "family", "pooling", "parameters", "GB bf16", "from", "for"]]
        for name, row in list_checkpoints().iterrows():
            size = [f"{row['million parameters']:,.1f} M", f"{row['GB in bfloat16']:.2f}"]
            known = size if row["million parameters"] else ["?", "?"]
            rows.append([str(name), row["family"], row["pooling"], *known, row["from"], row["for"]])
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        align = "<<<>><<"
        for cells in rows:
            padded = [f"{cell:{side}{width}}" for cell, side, width in zip(cells, align, widths, strict=True)]
            typer.echo("  ".join(padded).rstrip())


@app.command(epilog=_example('encode reviews.csv --column text --ask "How does the customer feel?" --out vectors.npy'))
def encode(
    texts: Annotated[Path, typer.Argument(help=TEXTS_HELP)],
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_HELP)],
    out: Annotated[Path, typer.Option(metavar="FILE", help=OUT_HELP)],
    column: Annotated[str | None, typer.Option(metavar="NAME", help=COLUMN_HELP)] = None,
    checkpoint: Annotated[str, typer.Option(metavar="NAME", help="A listed name, a folder, or a hub id.")] = "mini",
    answers: Annotated[bool, typer.Option("--answers", help=ANSWERS_HELP)] = False,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale every vector to unit length.")] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts per batch.  [default: a budget of tokens]")
    ] = None,
    pooling: Annotated[str | None, typer.Option(metavar="NAME", help="Which states, such as avg_gen.")] = None,
    layer: Annotated[int | None, typer.Option(metavar="N", help="Which layer; -1 is the last.")] = None,
    dtype: Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda, cuda:1 or mps.")] = None,
) -> None:
    """Embed each text as the answer it gives to a question."""
    from inbedder_utils import tables
    from inbedder_utils.checks import checked_questions

    with _clean_errors():
        if len(ask) != 1:
            raise ValueError(f"got {len(ask)} questions: pass one --ask, and call once for each question")
        checked_questions(ask)
        _check_outputs(texts, out, answers)
        rows = tables.read_texts(texts, column)
        from inbedder_utils import load_encoder  # imports torch: not before the cheap checks

        encoder = load_encoder(checkpoint, pooling=pooling, layer=layer, dtype=dtype, device=device)
        if answers and not hasattr(encoder, "answer"):
            raise ValueError(f"{checkpoint} is a plain sentence embedder, which gives no answers: leave out --answers")
        started = time.perf_counter()
        run = {"batch_size": batch_size, "show_progress_bar": True}
        vectors = encoder.encode(rows, ask[0], normalize_embeddings=normalize, **run)
        said = encoder.answer(rows, ask[0], **run) if answers else None
        seconds = time.perf_counter() - started
        written = tables.write_vectors(out, vectors, rows, said)
        n, d = vectors.shape
        typer.echo(f"{n} vectors of width {d}, encoded in {seconds:.1f} s, are in {' and '.join(map(str, written))}")


def _check_outputs(texts: Path, out: Path, answers: bool) -> None:
    """Raise an error if what is to be written can't be, or would replace the texts."""
    from inbedder_utils import tables

    for path in tables.output_files(out, answers):
        if tables.check_output(path).exists() and texts.exists() and os.path.samefile(path, texts):
            raise ValueError(f"{path} holds the texts and would be replaced: choose another --out")


@app.command(
    epilog=_example(
        'cluster reviews.csv --column text --ask "What is the reviewer complaining about?" --clusters 6 --out folder'
    )
)
def cluster(
    texts: Annotated[Path, typer.Argument(help=TEXTS_HELP)],
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_ALL_HELP)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help=REPORT_HELP)],
    column: Annotated[str | None, typer.Option(metavar="NAME", help=COLUMN_HELP)] = None,
    clusters: Annotated[int | None, typer.Option(min=1, metavar="N", help=CLUSTERS_HELP)] = None,
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=LABELS_HELP)] = None,
    checkpoint: Annotated[str, typer.Option(metavar="NAME", help="A listed name, a folder, or a hub id.")] = "mini",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clusters.")] = 0,
) -> None:
    """Ask all texts a question, and write a report on the clusters that their answers form."""
    from inbedder_utils import tables
    from inbedder_utils.checks import checked_questions

    with _clean_errors():
        checked_questions(ask)
        twice = next((question for question in ask if ask.count(question) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} was asked twice: pass one --ask for each question")
        rows = tables.read_texts(texts, column)
        known = tables.read_texts(texts, labels) if labels is not None else None
        if clusters is not None and clusters > len(rows):
            raise ValueError(f"{clusters} clusters cannot be made of {len(rows)} texts: choose fewer --clusters")
        from inbedder_utils import load_encoder  # imports torch: not before the cheap checks
        from inbedder_utils.cluster_report import check_folder, write_report
        from inbedder_utils.clustering import ask as ask_texts
        from inbedder_utils.diagnosis import diagnose

        if texts.expanduser().resolve().parent == check_folder(out).resolve():
            raise ValueError(f"{texts} is in the folder that the report would replace: choose another --out")
        encoder, results, diagnoses = load_encoder(checkpoint), [], []
        for i, question in enumerate(ask, 1):
            typer.echo(f"question {i} of {len(ask)}: {question}", err=True)
            asked = ask_texts(encoder, rows, question, clusters, seed=seed, labels=known, show_progress_bar=True)
            results.append(asked)
            diagnoses.append(diagnose(encoder, asked))
            typer.echo(repr(asked))
        typer.echo("drawing the figures", err=True)
        typer.echo(f"the report is in {write_report(results, out, diagnoses)}")


@app.command(
    epilog=_example("train --base roberta-large --data KomeijiForce/Inbedder-Pretrain-Data --output runs/mine")
)
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
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank updates only (needs peft).")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda or mps.")] = None,
) -> None:
    """Train a model to answer questions; a run that was killed goes on where it was.

    Several GPUs: torchrun --nproc_per_node=N -m inbedder_utils train ...
    """
    with _clean_errors():
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
        )
        if int(os.environ.get("RANK", 0)) == 0:
            typer.echo(f"the checkpoint is in {folder}: load_encoder({str(folder)!r})")


@app.command(epilog=_example("evaluate --checkpoint mini --checkpoint tfidf --suite small"))
def evaluate(
    checkpoint: Annotated[list[str] | None, typer.Option(metavar="NAME", help=MODELS_HELP)] = None,
    suite: Annotated[str, typer.Option(metavar="NAME", help=SUITE_HELP)] = "small",
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where results go, and are taken up again.")] = Path(
        "results"
    ),
    poolings: Annotated[str | None, typer.Option(metavar="NAMES", help=POOLINGS_HELP)] = None,
    layers: Annotated[str | None, typer.Option(metavar="NUMBERS", help=LAYERS_HELP)] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help=LOCAL_HELP)] = None,
    instructions: Annotated[Path | None, typer.Option(metavar="FILE", help=INSTRUCTIONS_HELP)] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of k-means.")] = 5,
    dtype: Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda, cuda:1 or mps.")] = None,
) -> None:
    """Score models on the paper's tests, beside the published numbers; a run that was killed goes on where it was."""
    from inbedder_utils.checks import whole_numbers

    with _clean_errors():
        numbers = layers if layers in (None, "all") else whole_numbers("layers", layers)
        from inbedder_utils import suites  # imports torch: not before the cheap checks
        from inbedder_utils.baselines import load_embedder
        from inbedder_utils.summary import summary

        tasks, models = suites.suite_tasks(suite), checkpoint or ["mini"]
        for name in models:
            suites.evaluate(
                load_embedder(name, dtype=dtype, device=device),
                tasks,
                output,
                poolings=poolings if poolings in (None, "all") else poolings.split(","),
                layers=numbers,
                folder=data,
                instructions=instructions,
                seeds=seeds,
                show_progress_bar=True,
            )
        table = summary(output, models, [task.name for task in tasks])
        typer.echo(table.to_string(index=False, na_rep="", float_format="{:.2f}".format))
        typer.echo(f"percent; everything is in {output}")


if __name__ == "__main__":
    app()
