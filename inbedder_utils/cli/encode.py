"""The verb `encode`."""

import os
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from inbedder_utils.cli import shared
from inbedder_utils.cli.shared import Checkpoint, Column, Device, Dtype, clean_errors, example

app = typer.Typer()
FILES_HELP = f"{shared.TEXTS_HELP} With --ray: any number of Parquet files and folders, or URIs of such."
ASK_HELP = 'The question, such as "How does the customer feel?"; one per call, with --ray any number.'
OUT_HELP = "Where the vectors go: .npy, .parquet or .csv, an existing file is replaced; with --ray a folder or URI."
RAY_HELP = (
    "Encode on a Ray cluster: HOST:PORT; auto, the one that this machine is in; or local, this machine's cores. A run "
    "that was killed goes on, and does files that were added. The column is text, if --column names no other."
)
GPUS_HELP = "With --ray: GPUs of each worker, such as 0.5.  [default: 1 if there are any]"
FILES_NAMED = 3
ANSWERS_HELP = "Also write the answers in words: a column in .parquet and .csv, a .answers.csv beside .npy."
BATCH_HELP = "Texts per batch.  [default: a budget of tokens]"


@app.command(epilog=example('encode reviews.csv --column text --ask "How does the customer feel?" --out vectors.npy'))
def encode(
    texts: Annotated[list[str], typer.Argument(help=FILES_HELP)],
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_HELP)],
    out: Annotated[str, typer.Option(metavar="FILE", help=OUT_HELP)],
    column: Column = None,
    checkpoint: Checkpoint = "mini",
    answers: Annotated[bool, typer.Option("--answers", help=ANSWERS_HELP)] = False,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale every vector to unit length.")] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help=BATCH_HELP)] = None,
    pooling: Annotated[str | None, typer.Option(metavar="NAME", help="Which states, such as avg_gen.")] = None,
    layer: Annotated[int | None, typer.Option(metavar="N", help="Which layer; -1 is the last.")] = None,
    dtype: Dtype = None,
    device: Device = None,
    cache: shared.Cache = None,
    encoding: shared.Encoding = None,
    separator: shared.Separator = None,
    header: shared.Header = None,
    force_text: shared.ForceText = False,
    limit: shared.Limit = None,
    sample: shared.Sample = None,
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help=RAY_HELP)] = None,
    num_gpus: Annotated[float | None, typer.Option(min=0, metavar="N", help=GPUS_HELP)] = None,
    quiet: shared.Quiet = False,
) -> None:
    """Embed each text as the answer it gives to a question."""
    model = {"pooling": pooling, "layer": layer, "dtype": dtype, "device": device}
    read = {"encoding": encoding, "separator": separator, "header": header, "limit": limit, "sample": sample}
    how = {"normalize": normalize, "batch_size": batch_size, "cache": cache, "force_text": force_text}
    with clean_errors():
        if ray is not None:
            _check_left_out("with --ray", read | how)
            asked = {"column": column or "text", "answers": answers, "num_gpus": num_gpus} | model
            _on_ray(ray, texts, out, checkpoint, ask, asked, quiet)
            return
        _check_left_out("without --ray", {"num_gpus": num_gpus})
        for what, given in {"file": texts, "question": ask}.items():
            if len(given) != 1:
                one = f"pass one {'--ask' if given is ask else 'file'}, and call once for each"
                raise ValueError(f"got {len(given)} {what}s: {one}; or --ray local, which takes many, of Parquet files")
        read |= {"column": column, "force_text": force_text}
        _here(Path(texts[0]), Path(out), checkpoint, ask[0], answers, {"read": read, "model": model} | how, quiet)


def _here(
    texts: Path, out: Path, checkpoint: str, question: str, answers: bool, given: dict[str, Any], quiet: bool
) -> None:
    """Encode one file in this process."""
    from inbedder_utils.checks import TextsCut, checked_questions
    from inbedder_utils.cli import tables
    from inbedder_utils.cli.corpus import read_corpus

    checked_questions([question])
    _check_outputs(texts, out, answers)
    corpus = read_corpus(texts, **given["read"])
    shared.tell(corpus.notes, quiet)
    from inbedder_utils import load_encoder  # imports torch: not before the cheap checks

    encoder = load_encoder(checkpoint, **given["model"])
    if answers and not hasattr(encoder, "answer"):
        raise ValueError(f"{checkpoint} is a plain sentence embedder, which gives no answers: leave out --answers")
    shared.check_keeps(encoder, given["cache"])
    for said in encoder.unread(corpus.texts, question) if hasattr(encoder, "unread") else []:
        shared.warn(said)
    started = time.perf_counter()
    how = {"batch_size": given["batch_size"], "show_progress_bar": shared.has_bars(quiet)}
    kept = {"cache": given["cache"]} if given["cache"] is not None else {}
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # said above, of kept texts too
        vectors = encoder.encode(corpus.texts, question, normalize_embeddings=given["normalize"], **how, **kept)
        answer_texts = encoder.answer(corpus.texts, question, **how) if answers else None
    seconds = time.perf_counter() - started
    beside = {"others": corpus.others, "places": corpus.places}
    written = shared.saved(lambda path: tables.write_vectors(path, vectors, corpus.texts, answer_texts, **beside), out)
    n, d = vectors.shape
    typer.echo(f"{n} vectors of width {d}, encoded in {seconds:.1f} s, are in {' and '.join(map(str, written))}")


def _on_ray(
    address: str, files: list[str], out: str, checkpoint: str, questions: list[str], asked: dict[str, Any], quiet: bool
) -> None:
    """Encode Parquet files on a cluster; the exit code is 1 if some can't be read."""
    from inbedder_utils.checks import checked_questions
    from inbedder_utils.scale import connect, encode_files
    from inbedder_utils.scale.parts import find_sources

    checked_questions(questions)
    find_sources(files)
    connect(address)  # takes long: not before the cheap checks
    started = time.perf_counter()
    shown = {"show_progress_bar": shared.has_bars(quiet)}
    done = encode_files(files, out, checkpoint, questions, **shown, **asked)
    if done.n_cut:
        shared.warn(f"{done.n_cut} prompts (text and question) were too long to be read whole")
    if done.n_bad:
        shared.warn(f"{done.n_bad} rows are null, empty or not text (the first: {done.first_bad}), and have no vector")
    for file, said in [*done.failed.items()][:FILES_NAMED]:
        shared.warn(f"{file} is left out: {said}")
    if len(done.failed) > FILES_NAMED:
        shared.warn(f"{len(done.failed) - FILES_NAMED} more files are left out")
    if done.n_parts:
        parts = f"{done.n_parts} new parts, {done.n_before} were there before"
        took = f"{time.perf_counter() - started:.1f} s"
        typer.echo(f"{done.n_texts} texts, encoded in {took}, are in {done.out} ({parts})")
    else:
        typer.echo(f"nothing was left to do: {done.n_before} parts were in {done.out} before")
    if done.failed:
        raise typer.Exit(1)


def _check_left_out(where: str, options: dict[str, Any]) -> None:
    flags = ("normalize", "force_text")
    given = [name for name, value in options.items() if (value if name in flags else value is not None)]
    given = [f"--{name.replace('_', '-')}" for name in given]
    if given:
        raise ValueError(f"{', '.join(given)} can't be had {where}: leave it out")


def _check_outputs(texts: Path, out: Path, answers: bool) -> None:
    """Raise an error if what is to be written can't be, or would replace the texts."""
    from inbedder_utils.cli import tables

    for path in tables.output_files(out, answers):
        if tables.check_output(path).exists() and texts.exists() and os.path.samefile(path, texts):
            raise ValueError(f"{path} holds the texts and would be replaced: choose another --out")
