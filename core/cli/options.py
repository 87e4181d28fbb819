"""What commands have in common: the option that names the configuration, and their exit codes."""

from pathlib import Path

import click

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130
"""As shells say it for Ctrl-C."""

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file. By default ./config.yaml, else the one that ships.",
)
