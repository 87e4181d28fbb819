"""ComfyUI's JSON, as far as it is used. Newer servers add fields and lengthen tuples: both are let through."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _nothing_for_null(value: Any) -> Any:
    return {} if value is None else value


Fields = Annotated[dict[str, Any], BeforeValidator(_nothing_for_null)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Accepted(Wire):
    """The answer to a `POST /prompt` that was taken. node_errors: of the parts that will not run."""

    prompt_id: str
    node_errors: Fields = Field(default_factory=dict)


class Uploaded(Wire):
    """The name is the server's: it is another one when the name was taken."""

    name: str = Field(min_length=1)
    subfolder: str = ""

    @property
    def path(self) -> str:
        return f"{self.subfolder}/{self.name}" if self.subfolder else self.name


class _ExecInfo(Wire):
    queue_remaining: int


class Load(Wire):
    """`GET /prompt`."""

    exec_info: _ExecInfo


class Queue(Wire):
    """`GET /queue`. Each item begins with its number and its prompt id; the lowest number runs first."""

    queue_running: list[list[Any]] = Field(default_factory=list)
    queue_pending: list[list[Any]] = Field(default_factory=list)

    def runs(self, prompt_id: str) -> bool:
        return any(item[1:2] == [prompt_id] for item in self.queue_running)

    def ahead(self, prompt_id: str) -> int | None:
        """Jobs of anybody before this pending one; None when it does not wait here."""
        waiting = sorted((item for item in self.queue_pending if len(item) > 1), key=_number)
        for place, item in enumerate(waiting):
            if item[1] == prompt_id:
                return place + len(self.queue_running)
        return None


def _number(item: list[Any]) -> float:
    return item[0] if isinstance(item[0], int | float) else 0.0


class _Status(Wire):
    status_str: str = ""
    messages: list[list[Any]] = Field(default_factory=list)


class Finished(Wire):
    """An entry of `/history`."""

    outputs: Fields = Field(default_factory=dict)
    status: _Status | None = None

    @property
    def failed(self) -> bool:
        """Interrupted ones count too."""
        return self.status is not None and self.status.status_str == "error"

    def messages(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Name and data of each event that the server noted, in order."""
        for message in self.status.messages if self.status else ():
            match message:
                case [str(name), dict(data), *_]:
                    yield name, data


class JobState(Wire):
    """`GET /api/jobs/{id}` of newer servers: the queue and the history at one look."""

    id: str
    status: str
    outputs: Fields = Field(default_factory=dict)
    execution_status: _Status | None = None

    @property
    def waits(self) -> bool:
        return self.status == "pending"

    @property
    def runs(self) -> bool:
        return self.status == "in_progress"

    @property
    def finished(self) -> Finished:
        return Finished(outputs=self.outputs, status=self.execution_status)


class _System(Wire):
    comfyui_version: str = ""


class _Device(Wire):
    name: str = ""
    type: str = ""
    vram_total: int = 0
    vram_free: int = 0


class SystemStats(Wire):
    system: _System = Field(default_factory=_System)
    devices: list[_Device] = Field(default_factory=list)

    @property
    def line(self) -> str:
        """ "ComfyUI 0.3.64, NVIDIA RTX 4090 (20.1 of 24.0 GB free)"."""
        devices = (f"{d.name} ({d.vram_free / 1e9:.1f} of {d.vram_total / 1e9:.1f} GB free)" for d in self.devices)
        return ", ".join([f"ComfyUI {self.system.comfyui_version}".rstrip(), *devices])

    @property
    def memory(self) -> int:
        """Bytes of the largest device. 0 for unknown, and where it computes on the processor: that has the machine's."""
        return max((device.vram_total for device in self.devices if device.type != "cpu"), default=0)


def moment(timestamp: Any) -> datetime | None:
    """A timestamp in milliseconds; None when it is none."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(int(timestamp) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
