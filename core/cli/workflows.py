"""`chatelier workflows`: what is on offer, and whether a file would be."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..commands.words import number
from ..workflows.catalogue import Catalogue
from ..workflows.check import check as check_classes
from ..workflows.classes import Classes
from ..workflows.folder import load_file
from ..workflows.graph import class_of, title_of
from ..workflows.outputs import TEMPORARY, kind_of
from ..workflows.workflow import Input, Problem, Workflow
from .context import EXIT_FAILED, Config, open_catalogue, run_command

app = typer.Typer(no_args_is_help=True, help="The workflows that are offered as commands.")


@app.command("list")
def list_(config: Config = None) -> None:
    """Every workflow with its category and source, and what could not be loaded."""
    write_list(run_command(_catalogue(config)))


@app.command()
def show(name: str, config: Config = None) -> None:
    """One workflow: its inputs with types, ranges and defaults, and its outputs."""
    catalogue = run_command(_catalogue(config))
    workflow = catalogue.get(name)
    if workflow is None:
        typer.echo(
            f"There is no workflow {name}. There are: {', '.join(w.name for w in catalogue.workflows) or 'none'}.",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)
    write_workflow(workflow)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Workflows in API format; a sidecar beside each is read too.")],
    object_info: Annotated[
        Path | None,
        typer.Option("--object-info", help="What a server answers to /object_info, to hold the graphs against."),
    ] = None,
) -> None:
    """What people could set in these files, and what is wrong with them. Exit code 1 when something is."""
    classes = None if object_info is None else read_classes(object_info)
    bad = [path for path in files if write_check(path, classes)]
    raise typer.Exit(EXIT_FAILED if bad else 0)


def write_list(catalogue: Catalogue) -> None:
    for workflow in catalogue.workflows:
        typer.echo(f"/{workflow.name:<20} {workflow.category:<15} {workflow.title}  ({workflow.source or 'no file'})")
    if not catalogue.workflows:
        typer.echo("There are no workflows.")
    write_problems(catalogue.problems)


def write_workflow(workflow: Workflow) -> None:
    typer.echo(f"/{workflow.name}  {workflow.title} ({workflow.category})")
    facts = {
        "what": workflow.description,
        "aliases": ", ".join(workflow.aliases),
        "takes": f"about {workflow.expect_seconds:g} s" if workflow.expect_seconds else "",
        "limit": f"{workflow.run_seconds:g} s, then a run is stopped" if workflow.run_seconds else "",
        "tags": ", ".join(workflow.tags),
        "source": workflow.source,
        "version": workflow.version,
    }
    for key, value in facts.items():
        if value:
            typer.echo(f"  {key:<8} {value}")
    typer.echo("  inputs" if workflow.inputs else "  inputs   none")
    for item in workflow.inputs:
        typer.echo(f"    {item.name:<14} {_said(item)}")
    typer.echo("  outputs")
    for node in workflow.outputs:
        class_type = class_of(workflow.graph, node)
        lasts = "; made anew as long as the server runs, use SaveImage to keep it" if class_type in TEMPORARY else ""
        typer.echo(f"    node {node:<9} {title_of(workflow.graph, node)}: {kind_of(class_type) or 'file'}{lasts}")


def write_check(path: Path, classes: Classes | None) -> Sequence[Problem]:
    """Print what was found, and give back what is wrong."""
    workflow, problems = load_file(path, classes)
    if workflow is not None:
        write_workflow(workflow)
        problems = check_classes(workflow, classes) if classes is not None else ()
    write_problems(problems)
    if not problems:
        typer.echo(f"{path}: nothing is wrong" + (" and the server has all of it" if classes is not None else ""))
    return problems


def write_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        node = f"node {problem.node}: " if problem.node else ""
        typer.echo(f"{problem.source}: {node}{problem.reason}")


def read_classes(path: Path) -> Classes:
    """Exit code 2 with words when the file is not what a server answers."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}", param_hint="--object-info") from None
    if not isinstance(data, dict) or not all(isinstance(body, dict) for body in data.values()):
        raise typer.BadParameter(f"{path} is not what a server answers to /object_info", param_hint="--object-info")
    return data


def _said(item: Input) -> str:
    limits = "".join(
        f", {word} {number(value)}"
        for word, value in (("from", item.minimum), ("to", item.maximum), ("in steps of", item.step))
        if value is not None
    )
    choices = f", one of {' | '.join(item.choices)}" if item.choices else ""
    default = "" if item.default is None else f", default {item.default!r}"
    marks = "".join(f", {mark}" for mark in ("required", "advanced", "hidden") if getattr(item, mark))
    places = " and ".join(f"node {node} {field}" for node, field in item.targets)
    return f"{item.type}{marks}{limits}{choices}{default}  -> {places}"


async def _catalogue(config: Path | None) -> Catalogue:
    async with open_catalogue(config) as catalogue:
        return catalogue
