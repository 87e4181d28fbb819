"""Chatelier: a gateway between chat networks and ComfyUI. The public API for plugins is in `__init__.pyi`.

Each of its names is imported when it is first used, so that `chatelier --help` waits for none of them.
"""

from lazy_loader import attach_stub

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
