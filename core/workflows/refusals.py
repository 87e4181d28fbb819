"""What ComfyUI says when it refuses a graph or fails at it, as sentences that a person can act on.

Only titles, input names, values and limits are told; types of exceptions, traces and paths never are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..chat.graphemes import shorten
from .choices import mend
from .workflow import Graph

MOST_SENTENCES = 3
LONGEST_VALUE = 80

_FOLDER = re.compile(r"(?<![\w:/])(?:[A-Za-z]:)?(?:/[^/\s'\"]+)+/(?=[^/\s'\"]+)")


def words_of_rejection(body: Mapping[str, Any], graph: Graph) -> str:
    """The sentences for the body that ComfyUI answers a refused `POST /prompt` with."""
    found = list(_of_nodes(body.get("node_errors"), graph))
    if found:
        return _together(found)
    error = body.get("error")
    if not isinstance(error, Mapping):
        return _sentence(str(error)) if isinstance(error, str) and error else "The server refused this workflow."
    return _of_prompt(error, graph)


def words_of_error(data: Mapping[str, Any], graph: Graph) -> str:
    """The sentence for an `execution_error` message."""
    node = node_title(graph, str(data.get("node_id", "")), str(data.get("node_type", "")))
    said = _plain(str(data.get("exception_message", "")))
    if ran_out_of_memory(data):
        return f"{node}: the server ran out of memory; try a smaller picture or fewer at once."
    if said.startswith("cannot identify image file"):
        return f"{node}: the picture cannot be read; send it as PNG, JPEG or WebP."
    return _sentence(f"{node}: {said}") if said else f"{node} failed and did not say why."


def words_of_skipped(reason: str) -> str:
    """The note beside a success of which a part did not run. reason: a sentence of the functions above."""
    return f"A part of this workflow did not run: {reason}"


def ran_out_of_memory(data: Mapping[str, Any]) -> bool:
    """Whether an `execution_error` message says so: it may go better elsewhere, or later."""
    said = " ".join(str(data.get("exception_message", "")).lower().split())
    return "out of memory" in said or "OutOfMemory" in str(data.get("exception_type", ""))


def node_title(graph: Graph, node: str, class_name: str = "") -> str:
    """ "KSampler (Sampler)": the class and, when somebody gave the node another title, the title."""
    declared = graph.get(node, {})
    class_name = class_name or str(declared.get("class_type", "")) or f"node {node}"
    meta = declared.get("_meta")
    title = str(meta.get("title", "")) if isinstance(meta, Mapping) else ""
    return f"{class_name} ({title})" if title and title.replace(" ", "") != class_name else class_name


def _of_nodes(errors: Any, graph: Graph) -> Iterator[str]:
    if not isinstance(errors, Mapping):
        return
    for node, report in errors.items():
        if isinstance(report, Mapping):
            name = node_title(graph, str(node), str(report.get("class_type", "")))
            for error in report.get("errors") or ():
                if isinstance(error, Mapping):
                    yield f"{name}: {_of_input(error)}"


def _of_input(error: Mapping[str, Any]) -> str:
    info = error.get("extra_info")
    info = info if isinstance(info, Mapping) else {}
    name = str(info.get("input_name") or error.get("details") or "an input")
    details = _plain(str(error.get("details", "")))
    match error.get("type"):
        case "required_input_missing":
            return f"{name} is missing"
        case "value_smaller_than_min":
            return f"{name} must be at least {_limit(info, 'min')}, not {_value(info)}"
        case "value_bigger_than_max":
            return f"{name} must be at most {_limit(info, 'max')}, not {_value(info)}"
        case "invalid_input_type":
            return f"{name} must be {_kind(info)}, not {_value(info)}"
        case "value_not_in_list":
            return f"{name}: {_not_in_list(name, info)}"
        case "return_type_mismatch":
            return f"{name} is connected to something of another type ({info.get('received_type', 'unknown')})"
        case "custom_validation_failed":
            return details.replace(" - ", ": ", 1) or f"{name} cannot be used"
        case "exception_during_validation" | "exception_during_inner_validation" | "bad_linked_input":
            return (
                f"it is not connected as this server expects ({details})" if details else "it is not connected properly"
            )
        case _:
            said = _plain(str(error.get("message", "")))
            return ": ".join(part for part in (said, details) if part) or "it was refused"


def _of_prompt(error: Mapping[str, Any], graph: Graph) -> str:
    said, details = _plain(str(error.get("message", ""))), _plain(str(error.get("details", "")))
    match error.get("type"):
        case "prompt_no_outputs":
            return "This workflow has no output: add a node that saves or shows its result."
        case "no_prompt":
            return "This workflow is empty."
        case "prompt_outputs_failed_validation" if not details:
            return "The nodes of this workflow lead back to themselves: remove the circle."
        case "invalid_prompt" | "missing_node_type":
            return _unknown_class(said, details, graph)
        case _:
            return _sentence(": ".join(part for part in (said, details) if part) or "The server refused this workflow")


def _unknown_class(said: str, details: str, graph: Graph) -> str:
    if found := re.search(r"node '?([^']+?)'? (?:does not exist|not found)", said):
        return f"This server has no node {found.group(1)}: install what brings it, or use another workflow."
    node = details.partition("#")[2].strip("'\" ")
    return f"Node {node} of this workflow does not say its class." if node in graph else _sentence(said)


def _limit(info: Mapping[str, Any], key: str) -> str:
    config = info.get("input_config")
    options = config[1] if isinstance(config, Sequence) and len(config) > 1 else None
    return _number(options.get(key)) if isinstance(options, Mapping) and key in options else "what the node allows"


def _kind(info: Mapping[str, Any]) -> str:
    config = info.get("input_config")
    kind = config[0] if isinstance(config, Sequence) and config else ""
    return {"INT": "a whole number", "FLOAT": "a number", "BOOLEAN": "true or false", "STRING": "text"}.get(
        kind if isinstance(kind, str) else "", "of another kind"
    )


def _not_in_list(name: str, info: Mapping[str, Any]) -> str:
    config = info.get("input_config")
    choices: Any = None
    if isinstance(config, Sequence) and config:
        choices = config[1].get("options") if config[0] == "COMBO" and len(config) > 1 else config[0]
    listed = choices if isinstance(choices, list | tuple) else None
    return f"this server does not have {_value(info)}; {mend(name, info.get('received_value'), listed)}"


def _value(info: Mapping[str, Any]) -> str:
    value = info.get("received_value")
    return f"“{shorten(value, LONGEST_VALUE)}”" if isinstance(value, str) else shorten(_number(value), LONGEST_VALUE)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """One line without the server's folders."""
    return _FOLDER.sub("", " ".join(text.split()))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _together(found: Sequence[str]) -> str:
    more = len(found) - MOST_SENTENCES
    shown = " ".join(_sentence(one) for one in found[:MOST_SENTENCES])
    return f"{shown} And {more} more." if more > 0 else shown
