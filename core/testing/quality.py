"""`quality.yaml`, which lies beside a platform's code: what of the conformance suite it cannot keep, and why."""

from pathlib import Path

import yaml

from .platform_suite import PLATFORM_CHECKS

SHORTEST_REASON = 20
"""Characters. "not supported" is no reason."""


def exemptions(file: Path) -> dict[str, str]:
    """The reason for each check of `PLATFORM_CHECKS` that the platform is exempt from, by the check's name.

    Raises ValueError for what is no check, for an exemption without a reason, and for a file that is something else.
    """
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{file}: write the exemptions as `name_of_a_check: the reason`, or `{{}}` if there is none")
    checks = {check.__name__ for check in PLATFORM_CHECKS}
    for name, reason in found.items():
        if name not in checks:
            raise ValueError(f"{file}: {name} is no check; they are {', '.join(sorted(checks))}")
        if not isinstance(reason, str) or len(reason.strip()) < SHORTEST_REASON:
            raise ValueError(f"{file}: {name} is exempt without a reason that somebody else could judge")
    return found
