"""What plugin authors test with: fakes, a clock to turn by hand, a whole gateway in memory, conformance suites."""

from .core.testing.backend import FakeBackend
from .core.testing.backend_suite import BACKEND_CHECKS, Bench, MakeBackend
from .core.testing.clock import FakeClock, settle
from .core.testing.gateway import PICTURE, Parts, running
from .core.testing.logs import sent_to
from .core.testing.network import (
    Cuts,
    Echoes,
    Garbles,
    Groups,
    HoldsBack,
    MakeNetwork,
    Network,
    Threads,
    Visible,
    Waits,
)
from .core.testing.payments import FakePayments
from .core.testing.platform import ROOMY, FakePlatform, with_capabilities
from .core.testing.platform_suite import PLATFORM_CHECKS, Finding, check_platform
from .core.testing.quality import exemptions
from .core.testing.scripted import ScriptedGateway
from .core.testing.store import FakeStore
from .core.testing.store_suite import STORE_CHECKS, MakeStore

__all__ = [
    "BACKEND_CHECKS",
    "PICTURE",
    "PLATFORM_CHECKS",
    "ROOMY",
    "STORE_CHECKS",
    "Bench",
    "Cuts",
    "Echoes",
    "FakeBackend",
    "FakeClock",
    "FakePayments",
    "FakePlatform",
    "FakeStore",
    "Finding",
    "Garbles",
    "Groups",
    "HoldsBack",
    "MakeBackend",
    "MakeNetwork",
    "MakeStore",
    "Network",
    "Parts",
    "ScriptedGateway",
    "Threads",
    "Visible",
    "Waits",
    "check_platform",
    "exemptions",
    "running",
    "sent_to",
    "settle",
    "with_capabilities",
]
