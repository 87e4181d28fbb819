"""What several test files share: the browser, a certificate, the environment they start in, and the rule that CI skips nothing."""

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_asyncio
import structlog
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from certificates import Certificate
    from mongod import Mongod

# The end of a file's path, and the functions in it that hold nobody up.
MAY_BLOCK = {
    "mimetypes.py": {"init"},  # the system's list of types, once a process
    "coverage/control.py": {"_should_trace", "_check_include_omit_etc"},  # looks at each file once
    "pydantic/plugin/_loader.py": {"get_plugins"},  # looks for plugins of its own once a process
    "linecache.py": {"updatecache"},  # the sources in a traceback that goes to a terminal
    "core/cli/context.py": {"load_config", "config_path"},  # before anything else runs
    "core/plugins.py": {"load", "load_entry_points", "load_folder"},  # the same
    "core/cli/doctor.py": {"disk"},  # nothing else runs beside it
    "plugins/sqlite/store.py": {
        "_run",
        "_begin",
        "_commit",
        "_rollback",
        "_version",
        "_read_quickly",
    },  # statements of microseconds; what waits for the disk is on a thread
    "terminal/conversation.py": {"attachment", "check_folder"},  # files of the one person who waits for it
    "mailbox.py": {"__init__", "run", "send"},  # the example on the page for plugin authors, which is kept short
}
PARTS = ["chatelier.core", "chatelier.platforms", "chatelier.plugins"]
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
    # As a terminal shows them, but a traceback without its sources and values: those take half a second each.
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a third of the time tests wait for a process or a clock."""
    return (os.cpu_count() or 1) + 1


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


@pytest.fixture(autouse=True, scope="session")
def nothing_blocks() -> Iterator[None]:
    """What reads, writes or waits on the event loop on behalf of our code raises BlockingError there."""
    with blockbuster_ctx(PARTS, excluded_modules=["chatelier.core.testing"]) as watch:
        for name, function in watch.functions.items():
            if "Lock" in name:
                function.deactivate()  # whether a lock is held just then is chance
                continue
            for file, names in MAY_BLOCK.items():
                function.can_block_in(file, names)
        yield


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> "Certificate":
    """For cat.example, made anew for each run."""
    from certificates import issued  # noqa: PLC0415 - this file is loaded from elsewhere too, without its neighbours

    return issued(tmp_path_factory.mktemp("tls"), "cat.example")


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Mongod"]:
    """The one MongoDB of this run, whichever worker needs it first."""
    from mongod import shared  # noqa: PLC0415 - as above

    folder = tmp_path_factory.getbasetemp()
    with shared(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) as server:
        yield server


@pytest.fixture
def mongo_url(mongod: "Mongod") -> Iterator[str]:
    """Of a database that is gone after the test."""
    name = f"test-{uuid.uuid4().hex}"
    yield mongod.url(name)
    mongod.drop(name)
