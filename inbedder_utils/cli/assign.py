"""The verb `assign`."""

from pathlib import Path
from typing import Annotated

import typer

from inbedder_utils.cli import shared
from inbedder_utils.cli.shared import Column, Device, Texts, clean_errors, example

app = typer.Typer()
FOLDER_HELP = "The folder of a report, which the verb cluster wrote."
CHECKPOINT_HELP = "Where the checkpoint is that asked, if it is a folder.  [default: the one that asked]"


@app.command(epilog=example("assign folder march.csv --column text"))
def assign(
    folder: Annotated[Path, typer.Argument(help=FOLDER_HELP)],
    texts: Texts,
    column: Column = None,
    checkpoint: Annotated[str | None, typer.Option(metavar="NAME", help=CHECKPOINT_HELP)] = None,
    device: Device = None,
    encoding: shared.Encoding = None,
    separator: shared.Separator = None,
    header: shared.Header = None,
    force_text: shared.ForceText = False,
    quiet: shared.Quiet = False,
) -> None:
    """Sort further texts into the clusters, or options, of a report, and add them to its table."""
    from inbedder_utils.cli.corpus import read_corpus
    from inbedder_utils.clustering.additions import add_rows, assign_all, check_new, clusterings_in

    with clean_errors():
        read = {"encoding": encoding, "separator": separator, "header": header, "force_text": force_text}
        places, corpus = clusterings_in(folder), read_corpus(texts, column, **read)
        check_new(folder, texts.name, corpus.texts)
        shared.tell(corpus.notes, quiet)
        from inbedder_utils import load_encoder  # imports torch: not before the cheap checks
        from inbedder_utils.clustering import Clustering
        from inbedder_utils.clustering.kept import remembering
        from inbedder_utils.clustering.save_load import asked_by

        known = asked_by(places[0]) or {}
        if "elsewhere" in known:
            fix = "add texts from Python, with Clustering.load(folder, encoder=)"
            raise ValueError(f"{known['elsewhere']} asked in {folder}, and is not loaded here: {fix}")
        if not (name := checkpoint or known.get("name")):
            raise ValueError(f"{folder} doesn't say which checkpoint asked: pass --checkpoint")
        shared.tell([f"the encoder is {name}"], quiet)
        encoder = remembering(load_encoder(name, dtype=known.get("dtype"), device=device))
        results = [Clustering.load(place, encoder) for place in places]
        found = assign_all(results, corpus.texts, show_progress_bar=shared.has_bars(quiet))
        for result in results:
            counts = found[f"name ({result.instruction})"].value_counts()
            typer.echo(f"{result.instruction!r}: {'; '.join(f'{name} {n:,}' for name, n in counts.items())}")
        path = add_rows(folder, found, texts.name, corpus.others, corpus.places)
        typer.echo(
            f"{len(corpus.texts):,} texts from {texts} were added to {path}; the report is that of the first ones"
        )
