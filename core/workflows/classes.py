"""What a server says of its node classes: `/object_info`, read leniently, since custom nodes write it too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Classes = Mapping[str, Mapping[str, Any]]
"""`/object_info`: class name → {"input": {"required": …, "optional": …, "hidden": …}, "output": […], "output_node": …}."""

UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One input of a class.

    type: "INT", "IMAGE", "COMBO" … choices: what a COMBO takes, None when it is none or the server does not list them.
    options: default, min, max, step and the like.
    """

    type: str
    required: bool = False
    choices: tuple[object, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uploads(self) -> bool:
        """It names a file that is sent along, so the server need not have it yet."""
        return any(self.options.get(flag) for flag in UPLOADS)

    @property
    def closed(self) -> bool:
        """Only the listed choices are taken. A server says "accepts_any" of a list that merely suggests, as `sketch` does of models."""
        return self.choices is not None and not self.uploads and not self.options.get("accepts_any")

    def number(self, name: str) -> float | None:
        """A numeric option, None when it is missing or something else."""
        value = self.options.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def specs_of(classes: Classes, class_type: str) -> dict[str, Spec]:
    """The visible inputs of a class by name; empty for an unknown class."""
    groups = _mapping(_mapping(classes.get(class_type)).get("input"))
    return {
        name: _spec(entry, required=group == "required")
        for group in ("required", "optional")
        for name, entry in _mapping(groups.get(group)).items()
    }


def hidden_of(classes: Classes, class_type: str) -> frozenset[str]:
    """Inputs that the server fills in by itself."""
    return frozenset(_mapping(_mapping(_mapping(classes.get(class_type)).get("input")).get("hidden")))


def outputs_count(classes: Classes, class_type: str) -> int | None:
    """How many outputs a class has, None when the server does not say."""
    outputs = _mapping(classes.get(class_type)).get("output")
    return len(outputs) if isinstance(outputs, list | tuple) else None


def is_output(classes: Classes, class_type: str) -> bool:
    """Whether the class ends a graph: a save or a preview."""
    return _mapping(classes.get(class_type)).get("output_node") is True


def _spec(entry: object, *, required: bool) -> Spec:
    parts = list(entry) if isinstance(entry, list | tuple) else [entry]
    options = _mapping(parts[1]) if len(parts) > 1 else {}
    if parts and isinstance(parts[0], list | tuple):
        return Spec(type="COMBO", required=required, choices=tuple(parts[0]), options=options)
    listed = options.get("options")
    choices = tuple(listed) if isinstance(listed, list | tuple) else None
    return Spec(type=str(parts[0]) if parts else "*", required=required, choices=choices, options=options)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
