"""`chatelier workflows`: what is on offer, and whether a file would be."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from ..commands.words import number
from ..workflows.catalogue import Catalogue
from ..workflows.check import check as check_classes
from ..workflows.classes import Classes
from ..workflows.folder import load_file
from ..workflows.graph import class_of, title_of
from ..workflows.outputs import TEMPORARY, kind_of
from ..workflows.workflow import Input, Problem, Workflow
from .context import open_catalogue, run_command
from .options import EXIT_FAILED


def list_workflows(config: Path | None) -> None:
    write_list(run_command(_catalogue(config)))


def show(config: Path | None, name: str) -> None:
    catalogue = run_command(_catalogue(config))
    workflow = catalogue.get(name)
    if workflow is None:
        click.echo(
            f"There is no workflow {name}. There are: {', '.join(w.name for w in catalogue.workflows) or 'none'}.",
            err=True,
        )
        raise click.exceptions.Exit(EXIT_FAILED)
    write_workflow(workflow)


def check(files: Sequence[Path], object_info: Path | None) -> None:
    classes = None if object_info is None else read_classes(object_info)
    bad = [path for path in files if write_check(path, classes)]
    raise click.exceptions.Exit(EXIT_FAILED if bad else 0)


def write_list(catalogue: Catalogue) -> None:
    for workflow in catalogue.workflows:
        click.echo(f"/{workflow.name:<20} {workflow.category:<15} {workflow.title}  ({workflow.source or 'no file'})")
    if not catalogue.workflows:
        click.echo("There are no workflows.")
    write_problems(catalogue.problems)


def write_workflow(workflow: Workflow) -> None:
    click.echo(f"/{workflow.name}  {workflow.title} ({workflow.category})")
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
            click.echo(f"  {key:<8} {value}")
    click.echo("  inputs" if workflow.inputs else "  inputs   none")
    for item in workflow.inputs:
        click.echo(f"    {item.name:<14} {_said(item)}")
    click.echo("  outputs")
    for node in workflow.outputs:
        class_type = class_of(workflow.graph, node)
        lasts = "; made anew as long as the server runs, use SaveImage to keep it" if class_type in TEMPORARY else ""
        click.echo(f"    node {node:<9} {title_of(workflow.graph, node)}: {kind_of(class_type) or 'file'}{lasts}")


def write_check(path: Path, classes: Classes | None) -> Sequence[Problem]:
    """Print what was found, and give back what is wrong."""
    workflow, problems = load_file(path, classes)
    if workflow is not None:
        write_workflow(workflow)
        problems = check_classes(workflow, classes) if classes is not None else ()
    write_problems(problems)
    if not problems:
        click.echo(f"{path}: nothing is wrong" + (" and the server has all of it" if classes is not None else ""))
    return problems


def write_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        node = f"node {problem.node}: " if problem.node else ""
        click.echo(f"{problem.source}: {node}{problem.reason}")


def read_classes(path: Path) -> Classes:
    """Exit code 2 with words when the file is not what a server answers."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} cannot be read: {error}", param_hint="--object-info") from None
    if not isinstance(data, dict) or not all(isinstance(body, dict) for body in data.values()):
        raise click.BadParameter(f"{path} is not what a server answers to /object_info", param_hint="--object-info")
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
