"""Results in whatever shape an account gives them, made into outputs: the one place that knows the shapes.

Lists of outputs, outputs keyed by node, plain addresses, and objects around either; docs/comfydeploy.md lists those seen.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from chatelier import Output

TEXTS = frozenset({"text", "string", "tags"})
"""Keys whose strings are the result itself, even where one is an address."""

ABOUT = frozenset({"node_meta", "id", "run_id", "node_id", "type", "created_at", "updated_at", "filename", "subfolder"})
"""Keys that tell about a result and hold none."""

MESSAGES = ("exception_message", "error", "message")


class _Found(NamedTuple):
    """url: "" for a text. is_preview: what an author looks at while building."""

    name: str
    url: str = ""
    text: str | None = None
    is_preview: bool = False


def outputs_of(results: Any, node: str) -> tuple[Output, ...]:
    """All of them, in their order, each file once; previews only where nothing else was saved. node: that they are said to be of."""
    found = list(dict.fromkeys(_walk(results, "")))
    kept = [each for each in found if not each.is_preview] or found
    return tuple(
        Output(n=n, node=node, name=each.name, remote={"url": each.url} if each.url else {}, text=each.text)
        for n, each in enumerate(kept)
    )


def error_of(results: Any) -> Mapping[str, Any] | None:
    """What went wrong, in ComfyUI's terms, None when nothing is told."""
    if isinstance(results, Mapping):
        message = next((results[key] for key in MESSAGES if isinstance(results.get(key), str) and results[key]), "")
        if message:
            return {**results, "exception_message": message}
        found = (error_of(value) for value in results.values())
    elif isinstance(results, list):
        found = (error_of(value) for value in results)
    else:
        return None
    return next((error for error in found if error is not None), None)


def _walk(value: Any, key: str) -> Iterator[_Found]:
    match value:
        case str() if key in TEXTS:
            yield _Found(f"{key}.txt", text=value)
        case str() if _is_address(value):
            yield _Found(_file_name(value), value)
        case {"url": str(url)} if _is_address(url):
            said = value.get("filename")
            name = _last(said) if isinstance(said, str) else ""
            yield _Found(name or _file_name(url), url, is_preview=value.get("type") == "temp")
        case Mapping():
            for inner, each in value.items():
                if inner not in ABOUT:
                    yield from _walk(each, inner)
        case list():
            for each in value:
                yield from _walk(each, key)


def _is_address(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def _file_name(url: str) -> str:
    try:
        return _last(unquote(urlsplit(url).path)) or "result"
    except ValueError:  # brackets that are none
        return "result"


def _last(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
