"""A certificate for tests, signed by somebody whom only they trust."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificate:
    """Files in PEM. server: a key and the certificate for it. authority: the certificate of who signed that one.

    client, client_key: a certificate for who calls, signed by the same, and its key.
    """

    server: Path
    authority: Path
    client: Path
    client_key: Path


def issued(folder: Path, name: str) -> Certificate:
    """For this name; an address has to be named as one."""
    made = Certificate(*(folder / f"{part}.pem" for part in ("server", "authority", "client", "client_key")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.authority))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(made.server))
    caller = authority.issue_cert("caller@cat.example")
    caller.cert_chain_pems[0].write_to_path(str(made.client))
    caller.private_key_pem.write_to_path(str(made.client_key))
    return made
