"""What several test files share: the browser, the environment they start in, and the rule that CI skips nothing."""

import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from playwright.async_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# As root, in a container, without a screen, and silent towards its maker.
BROWSER_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# How long an example takes depends on what else the machine does; no test is timed.
hypothesis.settings.register_profile("chatelier", deadline=None)
hypothesis.settings.load_profile("chatelier")


def pytest_configure() -> None:
    """The settings of whoever runs the tests are not the tests' settings."""
    for name in [name for name in os.environ if name.startswith("CHATELIER_")]:
        del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test fails the run."""
    if os.environ.get("CI") == "true" and _skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if os.environ.get("CI") == "true" and (skips := _skips(config)):
        terminalreporter.section("skipped, which is a failure with CI=true", red=True)
        for line in skips:
            terminalreporter.line(line, red=True)


def _skips(config: pytest.Config) -> list[str]:
    """A line for each test that was skipped: which, and why."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}" for report in reports]


@pytest.fixture
def chromium() -> str:
    """The path of a Chromium; without one the test is skipped."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium here: apt install chromium")


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator["Browser"]:
    """A running Chromium, closed after the test."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only the tests that need a browser load it

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=list(BROWSER_ARGUMENTS))
        yield running
        await running.close()
