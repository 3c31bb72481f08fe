"""The verb `encode`."""

import os
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli import shared
from inbedder_utils.cli.shared import Checkpoint, Column, Device, Dtype, Texts, clean_errors, example

app = typer.Typer()
ASK_HELP = 'The question, such as "How does the customer feel?"; one per call.'
OUT_HELP = "Where the vectors go: .npy, .parquet or .csv; an existing file is replaced."
ANSWERS_HELP = "Also write the answers in words: a column in .parquet and .csv, a .answers.csv beside .npy."
BATCH_HELP = "Texts per batch.  [default: a budget of tokens]"


@app.command(epilog=example('encode reviews.csv --column text --ask "How does the customer feel?" --out vectors.npy'))
def encode(
    texts: Texts,
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_HELP)],
    out: Annotated[Path, typer.Option(metavar="FILE", help=OUT_HELP)],
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
    quiet: shared.Quiet = False,
) -> None:
    """Embed each text as the answer it gives to a question."""
    from inbedder_utils.checks import TextsCut, checked_questions
    from inbedder_utils.cli import tables
    from inbedder_utils.cli.corpus import read_corpus

    with clean_errors():
        if len(ask) != 1:
            raise ValueError(f"got {len(ask)} questions: pass one --ask, and call once for each question")
        checked_questions(ask)
        _check_outputs(texts, out, answers)
        read = {"encoding": encoding, "separator": separator, "header": header, "force_text": force_text}
        corpus = read_corpus(texts, column, limit=limit, sample=sample, **read)
        shared.tell(corpus.notes, quiet)
        from inbedder_utils import load_encoder  # imports torch: not before the cheap checks

        encoder = load_encoder(checkpoint, pooling=pooling, layer=layer, dtype=dtype, device=device)
        if answers and not hasattr(encoder, "answer"):
            raise ValueError(f"{checkpoint} is a plain sentence embedder, which gives no answers: leave out --answers")
        shared.check_keeps(encoder, cache)
        for said in encoder.unread(corpus.texts, ask[0]) if hasattr(encoder, "unread") else []:
            shared.warn(said)
        started = time.perf_counter()
        how = {"batch_size": batch_size, "show_progress_bar": shared.has_bars(quiet)}
        kept = {"cache": cache} if cache is not None else {}
        with warnings.catch_warnings(action="ignore", category=TextsCut):  # said above, of kept texts too
            vectors = encoder.encode(corpus.texts, ask[0], normalize_embeddings=normalize, **how, **kept)
            answer_texts = encoder.answer(corpus.texts, ask[0], **how) if answers else None
        seconds = time.perf_counter() - started
        beside = {"others": corpus.others, "places": corpus.places}
        written = shared.saved(
            lambda path: tables.write_vectors(path, vectors, corpus.texts, answer_texts, **beside), out
        )
        n, d = vectors.shape
        typer.echo(f"{n} vectors of width {d}, encoded in {seconds:.1f} s, are in {' and '.join(map(str, written))}")


def _check_outputs(texts: Path, out: Path, answers: bool) -> None:
    """Raise an error if what is to be written can't be, or would replace the texts."""
    from inbedder_utils.cli import tables

    for path in tables.output_files(out, answers):
        if tables.check_output(path).exists() and texts.exists() and os.path.samefile(path, texts):
            raise ValueError(f"{path} holds the texts and would be replaced: choose another --out")
