"""From a checked graph and its sidecar to a workflow."""

import hashlib
import json
from dataclasses import asdict

from ..values import replace
from .classes import Classes
from .inputs import in_order, infer
from .names import name_from
from .outputs import category_of, outputs_of
from .sidecar import BadSidecar, Sidecar, checked_outputs, declared_inputs
from .workflow import Graph, Workflow

PLAIN = Sidecar()


def declare(
    name: str, graph: Graph, sidecar: Sidecar = PLAIN, *, classes: Classes | None = None, source: str = ""
) -> Workflow:
    """The workflow of this name. classes: a server's `/object_info` for ranges and choices. Raises BadSidecar."""
    outputs = checked_outputs(graph, sidecar) or outputs_of(graph, classes)
    inputs = in_order(declared_inputs(graph, infer(graph, outputs, classes), sidecar))
    for alias in sidecar.aliases:
        if name_from(alias) != alias:
            raise BadSidecar(f"aliases: {alias!r} should be lower-case letters, digits and _, at most 32")
    workflow = Workflow(
        name=name,
        version="",
        title=sidecar.title or name.replace("_", " ").capitalize(),
        description=sidecar.description.strip(),
        category=sidecar.category or category_of(graph, outputs, inputs),
        graph=graph,
        inputs=inputs,
        outputs=outputs,
        expect_seconds=sidecar.expect_seconds,
        aliases=tuple(alias for alias in dict.fromkeys(sidecar.aliases) if alias != name),
        tags=tuple(dict.fromkeys(sidecar.tags)),
        run_seconds=sidecar.run_seconds,
    )
    return replace(workflow, version=_version(workflow), source=source)


def _version(workflow: Workflow) -> str:
    whole = json.dumps(asdict(workflow), sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
