"""`pytest --chatelier-platform my_package:make`: the conformance suite on a platform, a test for each check, and a table.

A module of its own and not of the package, so that every other run of pytest is spared the import of Chatelier.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("chatelier").addoption(
        "--chatelier-platform",
        metavar="MODULE:FUNCTION",
        help="run Chatelier's conformance suite on this person's side of a network",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--chatelier-platform") is None:
        return
    from chatelier.core.testing import conformance  # noqa: PLC0415 - only where it is asked for

    config.pluginmanager.register(conformance.Run(config), "chatelier platform")
