"""The verbs `cache list`, `cache verify` and `cache clear`."""

from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli.shared import clean_errors, example

app = typer.Typer(
    help="List, check or delete the vectors that encode --cache keeps.",
    epilog=example("cache list vectors"),
    no_args_is_help=True,
)
Folder = Annotated[Path, typer.Argument(help="The folder that was given to encode --cache.")]
ONLY_HELP = "Delete only the vectors of this checkpoint."


@app.command("list", epilog=example("cache list vectors"))
def list_caches(folder: Folder) -> None:
    """List whose vectors are there, how many, and how much space they take."""
    from inbedder_utils.storage.cache_folder import listing

    with clean_errors():
        table = listing(folder).round({"MB": 1})
        known = table.astype(object).where(table.notna(), "?")
        typer.echo(known.to_string(index=False) if len(table) else f"no caches in {folder}")


@app.command(epilog=example("cache verify vectors"))
def verify(folder: Folder) -> None:
    """Check every file and every vector; the exit status is 1 if something is damaged."""
    from inbedder_utils.storage import cache_folder as cache_files

    with clean_errors():
        problems = cache_files.verify(folder)
        for problem in problems:
            typer.echo(problem)
        if problems:
            typer.echo("what is damaged is never used: it will be encoded again when it is needed", err=True)
            raise typer.Exit(1)
        typer.echo(f"all is well in {folder}")


@app.command(epilog=example("cache clear vectors --checkpoint mini"))
def clear(
    folder: Folder,
    checkpoint: Annotated[str | None, typer.Option(metavar="NAME", help=ONLY_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete caches; other files in the folder stay."""
    from inbedder_utils.storage import cache_folder as cache_files

    with clean_errors():
        found = cache_files.caches(folder, checkpoint)
        if not found:
            typer.echo(f"no caches{f' of {checkpoint}' if checkpoint else ''} in {folder}")
            return
        if not yes:
            typer.confirm(f"Delete {_said(len(found), sum(found.values()))} in {folder}?", abort=True)
        typer.echo(f"deleted {_said(*cache_files.clear(folder, checkpoint))}")


def _said(number: int, size: int) -> str:
    return f"{number} cache{'s' * (number != 1)} ({size / 1e6:.1f} MB)"
