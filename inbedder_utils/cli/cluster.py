"""The verb `cluster`."""

from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inbedder_utils.cli import shared
from inbedder_utils.cli.shared import Checkpoint, Column, Device, Dtype, Texts, clean_errors, example

if TYPE_CHECKING:
    from inbedder_utils.cli.corpus import Corpus
    from inbedder_utils.clustering.diagnosis import Diagnosis
    from inbedder_utils.clustering.result import Clustering

app = typer.Typer()
ASK_ALL_HELP = 'A question, such as "What is the reviewer complaining about?"; again for more, to see how they relate.'
REPORT_HELP = (
    "Where report.html, assignments.csv and the figures go: a new or empty folder; a report there is replaced."
)
OPTIONS_HELP = (
    'Sort the texts into these instead, such as "late; lost; damaged", each perhaps with a description: "late: it came '
    'after the day that was promised". Texts like none of them are "other".'
)
CLUSTERS_HELP = "How many clusters, or about:8.  [default: a number from 2 to 12, by how clearly they are apart]"
EXAMPLE = 'reviews.csv --column text --ask "What is the reviewer complaining about?" --clusters 6 --out folder'
LABELS_HELP = "A column to compare the clusters with; they are made without it."
BY_HELP = "A column, such as month, country or stars, to break the clusters down by; again for more."


def _number(given: str) -> int | str:
    return int(given) if given.isdecimal() else given


def _options(given: str) -> list[str]:
    return [option for part in given.split(";") if (option := part.strip())]


@app.command(epilog=example(f"cluster {EXAMPLE}"))
def cluster(
    texts: Texts,
    ask: Annotated[list[str], typer.Option(metavar="QUESTION", help=ASK_ALL_HELP)],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help=REPORT_HELP)],
    column: Column = None,
    clusters: Annotated[Any, typer.Option(parser=_number, metavar="N", help=CLUSTERS_HELP)] = None,
    options: Annotated[list[str] | None, typer.Option(parser=_options, metavar='"A; B; C"', help=OPTIONS_HELP)] = None,
    labels: Annotated[str | None, typer.Option(metavar="NAME", help=LABELS_HELP)] = None,
    by: Annotated[list[str] | None, typer.Option(metavar="NAME", help=BY_HELP)] = None,
    checkpoint: Checkpoint = "mini",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clusters.")] = 0,
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
    """Ask all texts a question, and write a report on the clusters that their answers form."""
    from inbedder_utils.checks import checked_questions
    from inbedder_utils.cli.corpus import read_corpus

    with clean_errors():
        checked_questions(ask)
        twice = next((question for question in ask if ask.count(question) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} was asked twice: pass one --ask for each question")
        read = {"encoding": encoding, "separator": separator, "header": header, "force_text": force_text}
        corpus = read_corpus(texts, column, limit=limit, sample=sample, seed=seed, **read)
        known_labels, columns = corpus.labels(labels) if labels is not None else None, _columns(corpus, by or [])
        how = _how(len(corpus.texts), clusters, options) | {"seed": seed, "labels": known_labels}
        shared.tell([*corpus.notes, *_unlabelled(known_labels or [], labels)], quiet)
        from inbedder_utils import load_encoder  # imports torch: not before the cheap checks
        from inbedder_utils.clustering.report import check_folder, write_report

        if texts.expanduser().resolve().parent == check_folder(out).resolve():
            raise ValueError(f"{texts} is in the folder that the report would replace: choose another --out")
        encoder = _reading_once(load_encoder(checkpoint, dtype=dtype, device=device), cache)
        results, diagnoses = _asked(encoder, corpus.texts, ask, how, quiet)
        shared.tell(["drawing the figures"], quiet)
        beside = {"others": corpus.others, "places": corpus.places, "by": columns}
        (report,) = shared.saved(lambda folder: [write_report(results, folder, diagnoses, **beside)], out)
        typer.echo(f"the report is in {report}")


def _how(n: int, clusters: Any, options: list[list[str]] | None) -> dict[str, Any]:
    """What to make of n texts: clusters, or options."""
    from inbedder_utils.clustering.options import checked_options
    from inbedder_utils.clustering.partition import numbers_to_try

    if options is None:
        numbers_to_try(n, clusters)
        return {"n_clusters": clusters}
    if clusters is not None:
        raise ValueError("texts go either into clusters or into options: leave out --clusters or --options")
    listed = [option for given in options for option in given]
    if len(listed) < 2:
        raise ValueError('expected two options or more, with semicolons between them: --options "late; lost"')
    checked_options(listed)
    return {"options": listed}


def _asked(
    encoder: Any, texts: list[str], questions: list[str], how: dict[str, Any], quiet: bool
) -> "tuple[list[Clustering], list[Diagnosis]]":
    """Ask every question, and say what was found and what speaks against it."""
    from inbedder_utils import clustering

    results, diagnoses, bar = [], [], {"show_progress_bar": shared.has_bars(quiet)}
    for i, question in enumerate(questions, 1):
        shared.tell([f"question {i} of {len(questions)}: {question}"], quiet)
        results.append(clustering.ask(encoder, texts, question, **how, **bar))
        diagnoses.append(clustering.diagnose(encoder, results[-1], **bar))
        typer.echo(repr(results[-1]))
        for warning in dict.fromkeys([*results[-1].notes, *diagnoses[-1].warnings]):
            shared.warn(warning)
    return results, diagnoses


def _unlabelled(labels: list[str | None], name: str | None) -> list[str]:
    """A note on texts without a label, if there are any."""
    n = f"{labels.count(None)} of {len(labels)} texts have no label in column {name!r}"
    return [f"{n}: they are clustered, and not judged"] if None in labels else []


def _columns(corpus: "Corpus", names: list[str]) -> dict[str, list[str | None]]:
    """The columns that the clusters are to be broken down by, if all can be."""
    from inbedder_utils.clustering.grouping import grouped

    columns = {name: corpus.labels(name, "column to break down by") for name in names}
    for name, values in columns.items():
        grouped(values, name, len(corpus.texts))
    return columns


def _reading_once(encoder: Any, cache: Path | None) -> Any:
    """An encoder that reads a text once for all questions, where it can, and keeps vectors in a folder if there is one.

    Answers are then found apart from the vectors, which are there already if a run was killed.
    """
    from inbedder_utils.clustering.kept import remembering

    shared.check_keeps(encoder, cache)
    if cache is None:
        return remembering(encoder)
    kept = encoder.remembering()
    own = copy(kept)
    kept.encode, kept.encode_many = partial(own.encode, cache=cache), partial(own.encode_many, cache=cache)
    kept.encode_with_answers = lambda *args, **run: (kept.encode(*args, **run), kept.answer(*args, **run))
    return kept
