"""A deployment as a workflow of one node, whose class is the deployed workflow.

Only this account has that class, so the dispatcher's usual question, who has all nodes of the graph, finds it and nobody else.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from chatelier import FILE_TYPES, Graph, Input, Workflow, declare, name_from

from .wire import Deployment, InputType

NODE = "1"
PREFIX = "ComfyDeploy:"
EXTERNAL = "ComfyUIDeployExternal"
KINDS: Mapping[str, str] = {
    "int": "NumberInt", "integer": "NumberInt", "float": "Number", "number": "Number", "boolean": "Boolean", "bool": "Boolean",
    "image": "Image", "video": "Video", "audio": "Audio", "file": "File", "enum": "Enum", "seed": "Seed",
}  # fmt: skip
"""Node classes for types that come without one. Everything else is text."""

SEEDS = frozenset({"seed", "noise_seed"})
LONGEST_SEED = 2**32 - 1
TYPES: Mapping[str, str] = {"integer": "INT", "number": "FLOAT", "boolean": "BOOLEAN", "choice": "COMBO"}
GRACE_SECONDS = 60.0
"""What a run may take beyond the deployment's own limit before it is stopped from here."""


def class_of(deployment: Deployment) -> str:
    return PREFIX + (deployment.workflow_id or deployment.id)


def workflow_id(graph: Graph) -> str:
    """Of a graph made here; "" when it is not one."""
    class_type = str(graph[NODE]["class_type"]) if NODE in graph else ""
    return class_type.removeprefix(PREFIX) if class_type.startswith(PREFIX) else ""


def signature(deployment: Deployment) -> frozenset[tuple[str, str]]:
    """What two deployments of one workflow have in common when either can do the other's jobs."""
    return frozenset((each.input_id, _class_type(each)) for each in deployment.input_types)


def workflow_of(deployment: Deployment, source: str) -> Workflow:
    """What people may set is found as in a graph with ComfyDeploy's nodes."""
    title = deployment.called or deployment.id
    name = name_from(title) or name_from(f"workflow {deployment.id}")
    nodes = _declaring(deployment)
    declared = declare(name, nodes)
    inputs = _to_one_node(declared.inputs, nodes)
    fields = {field: item.default for item in inputs for _, field in item.targets}
    graph = {NODE: {"class_type": class_of(deployment), "inputs": fields, "_meta": {"title": title}}}
    whole = json.dumps([graph, [asdict(item) for item in inputs]], sort_keys=True, default=str)
    return replace(
        declared,
        version=hashlib.sha256(whole.encode()).hexdigest()[:16],
        title=title,
        description=deployment.description.strip(),
        graph=graph,
        inputs=inputs,
        outputs=(NODE,),
        source=f"{source}: {title}",
        run_seconds=deployment.run_timeout + GRACE_SECONDS if deployment.run_timeout else 0,
    )


def described(workflow: Workflow) -> dict[str, Any]:
    """Its class, as a server's `/object_info` would have it."""
    optional = {field: _spec(item) for item in workflow.inputs for _, field in item.targets}
    return {"input": {"optional": optional}, "output": [], "output_node": True, "display_name": workflow.title}


def _spec(item: Input) -> list[Any]:
    if item.type == "choice":
        return ["COMBO", {"options": list(item.choices)}]
    if item.type in FILE_TYPES:
        return ["STRING", {"image_upload": True}]
    limits = {"min": item.minimum, "max": item.maximum}
    return [TYPES.get(item.type, "STRING"), {key: value for key, value in limits.items() if value is not None}]


def _declaring(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """The graph that is deployed, as far as the account tells it: the nodes for its inputs and outputs."""
    nodes: dict[str, dict[str, Any]] = {}
    for each in deployment.input_types:
        nodes[f"in{len(nodes)}"] = {"class_type": _class_type(each), "inputs": _widgets(each)}
    outputs: Sequence[str] = [each.class_type for each in deployment.output_types] or ["SaveImage"]
    return nodes | {f"out{n}": {"class_type": class_type, "inputs": {}} for n, class_type in enumerate(outputs)}


def _class_type(each: InputType) -> str:
    return each.class_type if each.class_type.startswith(EXTERNAL) else EXTERNAL + KINDS.get(each.type.lower(), "Text")


def _widgets(each: InputType) -> dict[str, Any]:
    default = each.default_value
    if each.enum_options and default not in each.enum_options:
        default = None
    limits = {"min_value": each.min_value, "max_value": each.max_value}
    return {
        "input_id": each.input_id,
        "default_value": default,
        "options": json.dumps(each.enum_options),
        "display_name": each.display_name,
        "description": each.description,
        **{key: value for key, value in limits.items() if value is not None},
    }


def _to_one_node(inputs: Sequence[Input], nodes: Graph) -> tuple[Input, ...]:
    """Each with the field of the one node that is called as the deployment calls the input."""
    found: dict[str, Input] = {}
    for item in inputs:
        field = str(nodes[item.targets[0][0]]["inputs"]["input_id"])
        if field not in found:
            found[field] = _drawn(replace(item, targets=((NODE, field),)))
    return tuple(found.values())


def _drawn(item: Input) -> Input:
    """A seed is drawn anew each time, whatever the deployment's author left in it."""
    if item.type != "integer" or not (item.role == "seed" or item.name in SEEDS):
        return item
    most = LONGEST_SEED if item.maximum is None else item.maximum
    return replace(item, role="seed", required=False, default=-1, minimum=-1.0, maximum=most)
