"""A certificate for tests, signed by somebody whom only they trust."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificate:
    """Files in PEM. server: a key and the certificate for it. authority: the certificate of who signed that one."""

    server: Path
    authority: Path


def issued(folder: Path, name: str) -> Certificate:
    """For this name and for no address."""
    made = Certificate(folder / "server.pem", folder / "authority.pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.authority))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(made.server))
    return made
