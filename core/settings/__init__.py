"""config.yaml and the environment → one frozen object; an error names file, line, key and the mend."""

from .load import load, load_plugin_settings
from .models import Http, Limits, PluginSettings, Retention, Settings, WorkflowSettings
from .section import Section

__all__ = [
    "Http",
    "Limits",
    "PluginSettings",
    "Retention",
    "Section",
    "Settings",
    "WorkflowSettings",
    "load",
    "load_plugin_settings",
]
