"""What several verbs need: their common options, the example in their help, errors in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

PACKAGE = Path(__file__).parents[1]
COLUMN_HELP = 'The column with the texts; not needed if there is only one, or one called "text".'

Texts = Annotated[Path, typer.Argument(help="The texts: .txt (one per line), .csv, .tsv, .jsonl, .json or .parquet.")]
Column = Annotated[str | None, typer.Option(metavar="NAME", help=COLUMN_HELP)]
Checkpoint = Annotated[str, typer.Option(metavar="NAME", help="A listed name, a folder, or a hub id.")]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda, cuda:1 or mps.")]


def example(line: str) -> str:
    """The end of a verb's help."""
    return f"\b\nExample:\n  python -m inbedder_utils {line}"


@contextmanager
def clean_errors() -> Iterator[None]:
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
