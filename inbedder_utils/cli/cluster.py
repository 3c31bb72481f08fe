"""The verb `cluster`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from inbedder_utils.cli.shared import Checkpoint, Column, Device, Dtype, Texts, clean_errors, example

app = typer.Typer()
ASK_ALL_HELP = 'A question, such as "What is the reviewer complaining about?"; again for more, to see how they relate.'
REPORT_HELP = (
    "Where report.html, assignments.csv and the figures go: a new or empty folder; a report there is replaced."
)
CLUSTERS_HELP = "How many clusters, or about:8.  [default: a number from 2 to 12, by how clearly they are apart]"
EXAMPLE = 'reviews.csv --column text --ask "What is the reviewer complaining about?" --clusters 6 --out folder'
LABELS_HELP = "A column to compare the clusters with; they are made without it."


def _number(given: str) -> int | str:
    return int(given) if given.isdecimal() else given


@app.command(epilog=example(f"cluster {EXAMPLE}"))
def cluster(
    texts: Texts,
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_ALL_HELP)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help=REPORT_HELP)],
    column: Column = None,
    clusters: Annotated[Any, typer.Option(parser=_number, metavar="N", help=CLUSTERS_HELP)] = None,
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=LABELS_HELP)] = None,
    checkpoint: Checkpoint = "mini",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clusters.")] = 0,
    dtype: Dtype = None,
    device: Device = None,
) -> None:
    """Ask all texts a question, and write a report on the clusters that their answers form."""
    from inbedder_utils.checks import checked_questions
    from inbedder_utils.cli import tables

    with clean_errors():
        checked_questions(ask)
        twice = next((question for question in ask if ask.count(question) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} was asked twice: pass one --ask for each question")
        corpus = tables.read_texts(texts, column)
        known_labels = tables.read_texts(texts, labels) if labels is not None else None
        from inbedder_utils.clustering.asking import numbers_to_try

        numbers_to_try(len(corpus), clusters)
        from inbedder_utils import clustering, load_encoder  # imports torch: not before the cheap checks
        from inbedder_utils.clustering.report import check_folder, write_report

        if texts.expanduser().resolve().parent == check_folder(out).resolve():
            raise ValueError(f"{texts} is in the folder that the report would replace: choose another --out")
        encoder, results, diagnoses = load_encoder(checkpoint, dtype=dtype, device=device), [], []
        for i, question in enumerate(ask, 1):
            typer.echo(f"question {i} of {len(ask)}: {question}", err=True)
            result = clustering.ask(
                encoder, corpus, question, clusters, seed=seed, labels=known_labels, show_progress_bar=True
            )
            results.append(result)
            diagnoses.append(clustering.diagnose(encoder, result, show_progress_bar=True))
            typer.echo(repr(result))
        typer.echo("drawing the figures", err=True)
        typer.echo(f"the report is in {write_report(results, out, diagnoses)}")
