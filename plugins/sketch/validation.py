"""What is wrong with a graph before it runs, in the very shapes that ComfyUI answers with."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .declare import Node, Slot
from .folders import Folders
from .models import Models
from .registry import all_nodes, choices_of, input_config
from .running import Run

LONGEST_LIST = 20
"""Of choices that an error of ComfyUI still spells out."""

CONVERT: Mapping[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}

FOREIGN = (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError)
"""What a graph that somebody wrote by hand can make the look at it raise."""

Graph = dict[str, dict[str, Any]]
Report = dict[str, Any]


class Rejected(Exception):
    """body: what `POST /prompt` answers."""

    def __init__(self, error: Report, node_errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.body = {"error": error, "node_errors": dict(node_errors or {})}


@dataclass(frozen=True, slots=True)
class Valid:
    """outputs: the output nodes that can run. node_errors: of those that cannot, which does not stop the others."""

    outputs: tuple[str, ...]
    node_errors: Mapping[str, Report] = field(default_factory=dict)


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def problem(kind: str, message: str, details: str = "", info: Mapping[str, Any] | None = None) -> Report:
    return {"type": kind, "message": message, "details": details, "extra_info": dict(info or {})}


def validate(graph: Graph, folders: Folders, models: Models, targets: Sequence[str] | None = None) -> Valid:
    """Converts values in place, as ComfyUI does. targets: the only output nodes wanted, None for all. Raises Rejected."""
    outputs = _outputs(graph, targets)
    checks = _Validation(graph, folders, models)
    good: list[str] = []
    reasons: list[str] = []
    node_errors: dict[str, Report] = {}
    for output in outputs:
        errors = checks.output(output)
        if errors is None:
            good.append(output)
            continue
        reasons += [f"{error['message']}: {error['details']}" for error in errors]
        for node, found in checks.errors.items():
            if found:
                report = {"errors": found, "dependent_outputs": [], "class_type": graph[node]["class_type"]}
                node_errors.setdefault(node, report)["dependent_outputs"].append(output)
    if not good:
        error = problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(reasons))
        raise Rejected(error, node_errors)
    return Valid(tuple(good), node_errors)


def _outputs(graph: Graph, targets: Sequence[str] | None) -> list[str]:
    found = []
    for name, declared in graph.items():
        where = f"Node ID '#{name}'"
        if "class_type" not in declared:
            raise Rejected(
                problem("invalid_prompt", "Cannot execute because a node is missing the class_type property.", where)
            )
        node = all_nodes().get(declared["class_type"])
        if node is None:
            said = f"Cannot execute because node {declared['class_type']} does not exist."
            raise Rejected(problem("invalid_prompt", said, where))
        if node.output and (targets is None or name in targets):
            found.append(name)
    if not found:
        raise Rejected(problem("prompt_no_outputs", "Prompt has no outputs"))
    return found


class _Validation:
    """One look at a graph; what a node was found to be is kept for the next output that needs it."""

    def __init__(self, graph: Graph, folders: Folders, models: Models) -> None:
        self.errors: dict[str, list[Report]] = {}
        self._graph = graph
        self._folders = folders
        self._models = models
        self._valid: dict[str, bool] = {}
        self._open: set[str] = set()

    def output(self, name: str) -> list[Report] | None:
        """None: it can run. Else its own errors, perhaps none, when the fault lies before it."""
        try:
            valid = self._node(name)
        except FOREIGN as error:
            info = {"exception_type": type(error).__name__, "traceback": traceback.format_tb(error.__traceback__)}
            self.errors[name] = [
                problem("exception_during_validation", "Exception when validating node", str(error), info)
            ]
            self._valid[name] = valid = False
        return None if valid else self.errors[name]

    def _node(self, name: str) -> bool:
        if name in self._valid:
            return self._valid[name]
        if name in self._open:
            return False  # a circle: nothing to say, and nothing runs
        inputs = self._graph[name]["inputs"]
        node = all_nodes()[self._graph[name]["class_type"]]
        self._open.add(name)
        errors: list[Report] = []
        valid = True
        for slot in node.slots:
            if slot.name not in inputs:
                if slot.section == "required":
                    errors.append(
                        problem(
                            "required_input_missing", "Required input is missing", slot.name, {"input_name": slot.name}
                        )
                    )
                continue
            value = inputs[slot.name]
            if isinstance(value, list):
                error, well = self._link(node, slot, value)
                valid = valid and well
            else:
                error = self._value(node, slot, inputs)
            if error:
                errors.append(error)
        errors += self._own_check(node, inputs)
        self._open.discard(name)
        self.errors[name] = errors
        self._valid[name] = valid and not errors
        return self._valid[name]

    def _link(self, node: Node, slot: Slot, value: list[Any]) -> tuple[Report | None, bool]:
        config = input_config(node, slot, self._folders, self._models)
        info: Report = {"input_name": slot.name, "input_config": config}
        if len(value) != 2:
            said = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return problem("bad_linked_input", said, slot.name, info | {"received_value": value}), True
        before, index = value
        received = all_nodes()[self._graph[before]["class_type"]].gives[index]
        if not _fits(received, config[0]):
            details = f"{slot.name}, received_type({received}) mismatch input_type({config[0]})"
            info |= {"received_type": received, "linked_node": value}
            return problem("return_type_mismatch", "Return type mismatch between linked nodes", details, info), True
        try:
            return None, self._node(before)
        except FOREIGN as error:
            said = str(error)
            info |= {"exception_message": said, "exception_type": type(error).__name__, "linked_node": value}
            info["traceback"] = traceback.format_tb(error.__traceback__)
            found = problem("exception_during_inner_validation", "Exception when validating inner node", said, info)
            self.errors[before], self._valid[before] = [found], False
            return None, False

    def _value(self, node: Node, slot: Slot, inputs: dict[str, Any]) -> Report | None:
        value = inputs[slot.name]
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[slot.name] = value["__value__"]
        info: Report = {"input_name": slot.name}
        config = input_config(node, slot, self._folders, self._models)
        try:
            value = inputs[slot.name] = CONVERT.get(slot.type, lambda same: same)(value)
        except (TypeError, ValueError, OverflowError) as error:
            info |= {"input_config": config, "received_value": value, "exception_message": str(error)}
            said = f"Failed to convert an input value to a {slot.type} value"
            return problem("invalid_input_type", said, f"{slot.name}, {value}, {error}", info)
        info |= {"input_config": config, "received_value": value}
        least, most = slot.options.get("min"), slot.options.get("max")
        if least is not None and value < least:
            return problem("value_smaller_than_min", f"Value {value} smaller than min of {least}", slot.name, info)
        if most is not None and value > most:
            return problem("value_bigger_than_max", f"Value {value} bigger than max of {most}", slot.name, info)
        return self._choice(slot, value, info) if slot.listed and slot.files != "input" else None

    def _choice(self, slot: Slot, value: Any, info: Report) -> Report | None:
        choices = choices_of(slot, self._folders, self._models)
        if value in choices or (slot.names_model and self._models.any and isinstance(value, str)):
            return None
        if len(choices) > LONGEST_LIST:
            info["input_config"] = None
        shown = str(choices) if len(choices) <= LONGEST_LIST else f"(list of length {len(choices)})"
        return problem("value_not_in_list", "Value not in list", f"{slot.name}: '{value}' not in {shown}", info)

    def _own_check(self, node: Node, inputs: Mapping[str, Any]) -> list[Report]:
        if node.check is None or not all(isinstance(value, str) for value in inputs.values()):
            return []
        wrong = node.check(Run(folders=self._folders, models=self._models, graph=self._graph), **inputs)
        if wrong is None:
            return []
        name, said = wrong
        return [
            problem(
                "custom_validation_failed",
                "Custom validation failed for node",
                f"{name} - {said}",
                {"input_name": name},
            )
        ]


def _fits(received: str, wanted: Any) -> bool:
    if received == wanted:
        return True
    return isinstance(wanted, str) and (
        "*" in (received, wanted) or bool(set(received.split(",")) & set(wanted.split(",")))
    )
