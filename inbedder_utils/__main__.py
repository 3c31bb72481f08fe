"""The command line: `python -m inbedder_utils`, a thin layer over the package's functions."""

import typer

from inbedder_utils.cli import assign, cache, checkpoints, cluster, encode, evaluate, train

app = typer.Typer(
    help="Ask a corpus a question, embed the expected answers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (checkpoints, encode, cluster, assign, train, evaluate):
    app.add_typer(verb.app)
app.add_typer(cache.app, name="cache")

if __name__ == "__main__":
    app()
