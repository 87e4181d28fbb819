"""The workflows that come with Chatelier."""

from collections.abc import Callable
from pathlib import Path

from chatelier import FolderSource, WorkflowSource, hookimpl

FOLDER = Path(__file__).parent / "workflows"


class Plugin:
    @hookimpl
    def register_workflow_sources(self, register: Callable[[WorkflowSource], None]) -> None:
        register(FolderSource(FOLDER, name="starter"))
