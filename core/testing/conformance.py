"""The conformance suite as pytest runs it, for `--chatelier-platform`: the suite alone, whatever other tests there are."""

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from .network import Check, MakeNetwork
from .platform_suite import PLATFORM_CHECKS, Finding
from .table import table


class Run:
    """The plugin that is there while the option is given."""

    def __init__(self, config: pytest.Config) -> None:
        sys.path.insert(0, str(config.invocation_params.dir))
        self._make = _found(str(config.getoption("--chatelier-platform")))
        self._findings: list[Finding] = []

    def pytest_collection(self, session: pytest.Session) -> bool:
        """In place of the collection of files."""
        suite = Suite.from_parent(session, name="chatelier", nodeid="chatelier")
        suite.make, suite.findings = self._make, self._findings
        session.items = list(suite.collect())
        session.config.hook.pytest_collection_modifyitems(session=session, config=session.config, items=session.items)
        session.testscollected = len(session.items)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("what was proved")
        terminalreporter.write_line(table({"": self._findings}))


class Suite(pytest.Collector):
    """All checks on one network."""

    make: MakeNetwork
    findings: list[Finding]

    def collect(self) -> Iterator["Case"]:
        for check in PLATFORM_CHECKS:
            case = Case.from_parent(self, name=check.__name__)
            case.check = check
            yield case


class Case(pytest.Item):
    """One check."""

    check: Check
    parent: Suite

    def runtest(self) -> None:
        try:
            said = asyncio.run(self.check(self.parent.make))
        except Exception as error:
            self._note("failed", str(error) or type(error).__name__)
            raise
        self._note("not asked" if said else "proved", said)
        if said:
            pytest.skip(said)

    def _note(self, outcome: str, said: str) -> None:
        self.parent.findings.append(Finding(self.name, outcome, said))


def _found(name: str) -> MakeNetwork:
    """Raises UsageError."""
    module, _, function = name.partition(":")
    try:
        make: MakeNetwork = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"--chatelier-platform: write MODULE:FUNCTION; {error}") from error
    return make
