"""`chatelier sketch` as the command line knows it. What it does is imported when it is called."""

from pathlib import Path

import click


@click.command("sketch")
@click.option("--port", type=int, default=8188, show_default=True, help="0 takes a free one, which is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--models",
    default="any",
    show_default=True,
    help='Model names it has: any, a list with commas, or "" for none.',
)
@click.option("--fault", multiple=True, help="A fault to have, NAME or NAME:ARGUMENT; may be given again.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where its input, output and temp folders lie. By default in the user's data folder.",
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=0, help="Seconds that each job takes longer than it needs."
)
@click.option("--nodes", is_flag=True, help="List the nodes it has, and stop.")
def sketch(
    port: int, host: str, models: str, fault: tuple[str, ...], folder: Path | None, seconds: float, nodes: bool
) -> None:
    """Serve ComfyUI's protocol without a GPU. Pictures are computed or painted, never dreamed up by a model."""
    from . import serving

    if nodes:
        serving.list_nodes()
    else:
        serving.serve(host, port, models, fault, folder, seconds)
