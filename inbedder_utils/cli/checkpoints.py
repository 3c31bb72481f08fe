"""The verb `checkpoints`."""

import typer

from inbedder_utils.cli.shared import clean_errors, example

app = typer.Typer()


@app.command(epilog=example("checkpoints"))
def checkpoints() -> None:
    """List the models that can be loaded by name."""
    from inbedder_utils import list_checkpoints

    with clean_errors():
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
