"""`/metrics`: the gateway in numbers, as Prometheus reads them. Their names are in docs/metrics.md."""

from .plugin import Plugin

__all__ = ["Plugin"]
