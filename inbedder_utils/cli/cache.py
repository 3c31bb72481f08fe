"""The verbs `cache list` and `cache clear`."""

from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli.shared import clean_errors, example

HELP = "List or delete the vectors that encode --cache keeps."
ONLY_HELP = "Delete only the vectors of this checkpoint."
Folder = Annotated[Path, typer.Argument(help="The folder that was given to encode --cache.")]
app = typer.Typer(help=HELP, epilog=example("cache list vectors"), no_args_is_help=True)


@app.command("list", epilog=example("cache list vectors"))
def list_caches(folder: Folder) -> None:
    """List whose vectors are there, how many, and how much space they take."""
    from inbedder_utils.storage import cache_folder

    with clean_errors():
        table = cache_folder.list_caches(folder).round({"MB": 1})
        known = table.astype(object).where(table.notna(), "?")
        typer.echo(known.to_string(index=False) if len(table) else f"no caches in {folder}")


@app.command(epilog=example("cache clear vectors --checkpoint mini"))
def clear(
    folder: Folder,
    checkpoint: Annotated[str | None, typer.Option(metavar="NAME", help=ONLY_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete caches; other files in the folder stay."""
    from inbedder_utils.storage import cache_folder

    with clean_errors():
        paths = cache_folder.find_caches(folder, checkpoint)
        size = sum(path.stat().st_size for path in paths)
        what = f"{len(paths)} cache{'s' * (len(paths) > 1)} ({size / 1e6:.1f} MB)"
        if paths and not yes:
            typer.confirm(f"Delete {what} in {folder}?", abort=True)
        for path in paths:
            cache_folder.delete_cache(path)
        nothing = f"no caches{f' of {checkpoint}' if checkpoint else ''} in {folder}"
        typer.echo(f"deleted {what}" if paths else nothing)
