"""The settings of the core. Plugins add sections of their own with `register_settings`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, SecretStr, model_validator

from ..errors import SettingsError
from .points import PointsSettings, TierSettings
from .section import Count, Days, Minutes, Seconds, Section

M = TypeVar("M", bound=BaseModel)


def _handle(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*:\S+", text):
        raise ValueError('should be a handle "network:id", such as "telegram:42"')
    return text


def _web_address(text: str) -> str:
    if text and not (re.fullmatch(r"https?://[^\s?#]+", text) and _leads_somewhere(text)):
        raise ValueError('should be an address such as "https://art.example.com"')
    if "@" in urlsplit(text).netloc:
        raise ValueError("should be an address without a name and password in it; everybody sees it")
    return text.rstrip("/")


def _leads_somewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False


Handle = Annotated[str, AfterValidator(_handle)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class Http(Section):
    """The one port: chat page, console, API, webhooks and health."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on. `0.0.0.0` is every network of this machine."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on. 0 takes a free one.")
    public_url: WebAddress = Field(
        default="",
        description="Address that people and webhooks reach this gateway by, such as `https://art.example.com`.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Opens the chat page. Without one the page answers on this machine only, and not at all with a `public_url`.",
    )
    console_token: SecretStr = Field(
        default=SecretStr(""),
        description="Opens the console and makes its holder an operator. Without one it answers on this machine only, "
        "and not at all with a `public_url`.",
    )


class WorkflowSettings(Section):
    """Where the operator's own workflows are."""

    folder: Path = Field(
        default=Path("workflows"),
        description="Folder of ComfyUI graphs in API format, each with an optional `<name>.yaml` beside it.",
        json_schema_extra={"shown": "`workflows` in `data_dir`"},
    )


class PluginSettings(Section):
    """Which plugins are loaded."""

    off: tuple[str, ...] = Field(
        default=(), description="Names of plugins that are not loaded; `chatelier plugins` lists them."
    )
    folder: Path | None = Field(
        default=None, description="Folder of plugins of your own: each `*.py` file or package in it."
    )


class Limits(Section):
    """What one person, message, picture or job may take."""

    open_orders: Count = Field(default=3, description="Orders that a person may have waiting or running at a time.")
    open_edits: Count = Field(
        default=3,
        description="Changes to pictures that a person may have waiting or at work at a time; of videos as many.",
    )
    daily_orders: int = Field(default=0, ge=0, description="Orders that a person may make a day, in UTC; 0: no limit.")
    group_open_orders: int = Field(
        default=0, ge=0, description="Orders that a group's people may have waiting or running there; 0: no limit."
    )
    group_daily_orders: int = Field(
        default=0, ge=0, description="Orders that a group's people may make there a day; 0: no limit."
    )
    all_orders: Count = Field(
        default=1000,
        description="Orders of everybody that may wait or run at a time; beyond that people are told to come back.",
    )
    upload_bytes: Count = Field(default=50_000_000, description="Largest file that a person may send, in bytes.")
    picture_pixels: Count = Field(
        default=50_000_000, description="Largest picture, width times height in pixels; checked before it is decoded."
    )
    attempts: Count = Field(default=3, description="Submissions of one job to a backend before it fails.")
    queue_seconds: Seconds = Field(default=3600, description="Longest wait of a job for its backend, in seconds.")
    run_seconds: Seconds = Field(default=1800, description="Longest run of a job on its backend, in seconds.")
    busy_events: Count = Field(
        default=1000,
        description="Messages that may wait to be answered; beyond that people are told to try again in a minute.",
    )
    backend_down_minutes: Minutes = Field(
        default=5, description="How long a backend may be down before the operators are told, in minutes."
    )


class MediaSettings(Section):
    """How pictures and videos are worked on."""

    workers: Count = Field(
        default=2,
        description="Pictures worked on at a time; each may take some 200 MB of memory. Videos go one at a time.",
    )
    video_seconds: Seconds = Field(default=60, description="Longest work on one video, in seconds.")
    keep_graphs: bool = Field(
        default=False,
        description="Leave in a picture what its maker wrote there, such as ComfyUI's graph. Videos and AVIF keep theirs.",
    )


class Retention(Section):
    """How long things are kept."""

    events_days: Days = Field(default=7, description="Messages that came in, in days.")
    messages_days: Days = Field(default=30, description="Messages that were sent, in days.")
    jobs_days: Days = Field(
        default=365, description="Jobs, in days. Buttons and `/show` work as long as the job is kept."
    )
    results_days: Days = Field(default=30, description="Pictures and other results, in days.")
    results_gigabytes: float = Field(
        default=20,
        gt=0,
        description="All results, copies and what commands made, together, in gigabytes; the oldest go first.",
    )
    copies_days: Days = Field(
        default=7,
        description="Copies of pictures and videos that were made to fit a network, in days; they can be made again.",
    )
    inputs_days: Days = Field(default=7, description="Files that people sent, in days.")


class Settings(Section):
    """The whole configuration: the core's settings as fields, those of plugins by `of`."""

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("chatelier"),
        description="Folder of the database, the pictures and everything else that is kept.",
        json_schema_extra={"shown": "the user's data folder, `~/.local/share/chatelier` on Linux"},
    )
    store: str = Field(
        default="",
        repr=False,
        description="URL of the database. A file without a leading slash is in `data_dir`.",
        json_schema_extra={"shown": "`sqlite:chatelier.db`"},
    )
    operators: tuple[Handle, ...] = Field(
        default=(), description="Who may run operators' commands: handles `network:id`, such as `telegram:42`."
    )
    http: Http = Field(default_factory=Http, description="The one port.")
    workflows: WorkflowSettings = Field(default_factory=WorkflowSettings, description="The operator's own workflows.")
    plugins: PluginSettings = Field(default_factory=PluginSettings, description="Which plugins are loaded.")
    limits: Limits = Field(default_factory=Limits, description="What one person, message, picture or job may take.")
    tiers: dict[str, TierSettings] = Field(
        default_factory=dict, description="Limits by tier; plugins say who is in which."
    )
    points: PointsSettings = Field(default_factory=PointsSettings, description="Who pays for what, and how much.")
    media: MediaSettings = Field(default_factory=MediaSettings, description="How pictures and videos are worked on.")
    retention: Retention = Field(default_factory=Retention, description="How long things are kept.")

    _sections: Mapping[str, BaseModel] = PrivateAttr(default_factory=dict)
    _problems: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="before")
    @classmethod
    def _beside_data(cls, given: dict[str, Any]) -> dict[str, Any]:
        written = given.get("data_dir")
        data_dir = Path(written) if isinstance(written, str | Path) else user_data_path("chatelier")
        workflows = given.get("workflows", {})
        if isinstance(workflows, dict):
            workflows = {"folder": data_dir / "workflows", **workflows}
        store = given.get("store", "sqlite:chatelier.db")
        if isinstance(store, str):
            scheme, colon, path = store.partition(":")
            local = path and path[0] not in ":/"
            store = f"{scheme}{colon}{data_dir / path}" if local else store
        return {**given, "store": store, "workflows": workflows}

    @property
    def problems(self) -> tuple[str, ...]:
        """What the operator should know, a line each, though the gateway runs: settings for plugins that are off, broken or not there."""
        return self._problems

    def __contains__(self, section: str) -> bool:
        """Whether the section was written, if only as an empty one."""
        return section in self._sections

    def beside(self, section: str) -> tuple[str, ...]:
        """Sections that were written in the same group ("backends.comfyui" beside "backends.sketch")."""
        group = section.partition(".")[0] + "."
        return tuple(name for name in self._sections if name.startswith(group) and name != section)

    def of(self, section: str, model: type[M]) -> M:
        """A plugin's section; its defaults when nothing was written. Raises SettingsError when there are no defaults for all of it."""
        if section not in self._sections:
            needed = [name for name, info in model.model_fields.items() if info.is_required()]
            if needed:
                raise SettingsError(f"{section}: not configured; it needs {', '.join(needed)}")
            return model()
        found = self._sections[section]
        if not isinstance(found, model):
            raise TypeError(f"{section} was registered as {type(found).__name__}, not as {model.__name__}")
        return found

    def with_sections(self, sections: Mapping[str, BaseModel], problems: tuple[str, ...] = ()) -> Self:
        """The same settings with these sections in place of the ones before."""
        settings = self.model_copy()
        settings._sections = dict(sections)
        settings._problems = problems
        return settings

    def secrets(self) -> frozenset[str]:
        """Every secret value, for the logs to leave out."""
        password = urlsplit(self.store).password if "@" in self.store else None
        found = {*_secrets(self), *(secret for section in self._sections.values() for secret in _secrets(section))}
        return frozenset(found | {password or ""}) - {""}


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _secrets(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _secrets(inner)
