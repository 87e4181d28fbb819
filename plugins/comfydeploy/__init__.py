"""The backend `comfydeploy`: deployments of a ComfyDeploy account as commands, run on its machines."""

from collections.abc import Callable

from pydantic import BaseModel
from starlette.routing import BaseRoute

from chatelier import Backend, Settings, WorkflowSource, hookimpl

from .account import Account
from .hooks import route
from .settings import SECTION, ComfyDeploySettings

__all__ = ["Account", "ComfyDeploySettings", "Plugin"]


class Plugin:
    """One account. Without its section in the configuration there is none, and nobody is asked anything."""

    def __init__(self) -> None:
        self._account: Account | None = None

    @hookimpl
    def register_settings(self, register: Callable[[str, type[BaseModel]], None]) -> None:
        register(SECTION, ComfyDeploySettings)

    @hookimpl
    def register_backends(self, register: Callable[[Backend], None], settings: Settings) -> None:
        if (account := self._of(settings)) is not None:
            register(account)

    @hookimpl
    def register_workflow_sources(self, register: Callable[[WorkflowSource], None], settings: Settings) -> None:
        if (account := self._of(settings)) is not None:
            register(account.offer)

    @hookimpl
    def register_routes(self, register: Callable[[BaseRoute], None], settings: Settings) -> None:
        if (account := self._of(settings)) is not None:
            register(route(account.hooks, account.heard))

    def _of(self, settings: Settings) -> Account | None:
        """One object for all hooks, whichever is called first."""
        if self._account is None and SECTION in settings:
            declared = settings.of(SECTION, ComfyDeploySettings)
            self._account = Account(declared, public_url=settings.http.public_url)
        return self._account
