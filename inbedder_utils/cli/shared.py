"""What several verbs need: common options, the example in their help, errors and warnings in one line, bars."""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Annotated, Any

import typer

PACKAGE = Path(__file__).parents[1]
TEXTS_HELP = "The texts: .txt (one per line), .csv, .tsv, .xlsx, .jsonl, .json or .parquet; .gz may follow."
COLUMN_HELP = (
    'The column with the texts; not needed if there is only one, one called "text", or one that is far the longest.'
)
ENCODING_HELP = "Such as cp1252 or shift-jis.  [default: UTF-8, else cp1252]"
SEPARATOR_HELP = "Between cells: one character, or tab.  [default: found out]"
HEADER_HELP = "Whether the first line names the columns; without names they are 1, 2 ...  [default: found out]"
CACHE_HELP = "Keep the vectors in this folder, and take from there what it has; a run that was killed goes on."

Texts = Annotated[Path, typer.Argument(help=TEXTS_HELP)]
Column = Annotated[str | None, typer.Option(metavar="NAME", help=COLUMN_HELP)]
Encoding = Annotated[str | None, typer.Option(metavar="NAME", help=ENCODING_HELP)]
Separator = Annotated[str | None, typer.Option(metavar="CHARACTER", help=SEPARATOR_HELP)]
Header = Annotated[bool | None, typer.Option("--header/--no-header", help=HEADER_HELP, show_default=False)]
ForceText = Annotated[bool, typer.Option("--force-text", help="Take a column of numbers for texts.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N rows, for a first look.")]
Sample = Annotated[int | None, typer.Option(min=1, metavar="N", help="Only N rows, drawn at random.")]
Cache = Annotated[Path | None, typer.Option(metavar="FOLDER", help=CACHE_HELP)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results, warnings and errors.")]
Checkpoint = Annotated[str, typer.Option(metavar="NAME", help="A listed name, a folder, or a hub id.")]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="Such as cpu, cuda, cuda:1 or mps.")]


def example(line: str) -> str:
    """The end of a verb's help."""
    return f"\b\nExample:\n  python -m inbedder_utils {line}"


@contextmanager
def clean_errors() -> Iterator[None]:
    """Print warnings, and an error that is the user's to mend, as one line each; a bug keeps its traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("once", UserWarning)
            warnings.showwarning = lambda message, *_, **__: warn(message)
            yield
    except (OSError, ImportError, ValueError, TypeError) as error:
        if isinstance(error, ValueError | TypeError) and not _is_ours(error.__traceback__):
            raise
        typer.echo(f"error: {_in_one_line(error)}", err=True)
        raise typer.Exit(2) from error


def warn(message: object) -> None:
    """Print a warning on the standard error output."""
    typer.echo(f"warning: {_in_one_line(message)}", err=True)


def _in_one_line(message: object) -> str:
    return " ".join(str(message).split()) or type(message).__name__


def tell(lines: Iterable[str], quiet: bool) -> None:
    """Print what is good to know, on the standard error output."""
    for line in () if quiet else lines:
        typer.echo(line, err=True)


def has_bars(quiet: bool) -> bool:
    """Whether progress bars are drawn: on a terminal only, not into pipes and logs."""
    return not quiet and sys.stderr.isatty()


def check_keeps(encoder: Any, cache: Path | None) -> None:
    """Raise a ValueError if vectors are to be kept that can't be."""
    if cache is not None and not hasattr(encoder, "answer"):
        name = encoder.checkpoint.name
        raise ValueError(f"{name} is a plain sentence embedder, whose vectors aren't kept: leave out --cache")


def saved(write: Callable[[Path], list[Path]], path: Path) -> list[Path]:
    """Write what took long to make: elsewhere, and with an error that says where, if its own place fails."""
    try:
        return write(path)
    except OSError as error:
        spare = write(Path(mkdtemp(prefix="inbedder-")) / path.name)
        raise OSError(f"{error}; what was made is in {' and '.join(map(str, spare))}") from error


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether an error was raised by this package, rather than by something it called."""
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback is not None and Path(traceback.tb_frame.f_code.co_filename).is_relative_to(PACKAGE)
