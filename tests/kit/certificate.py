"""A certificate for localhost, made once for each run of the tests: no key lies in the repository."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import trustme

_folder = tempfile.TemporaryDirectory(prefix="certificate-")  # Removed at the end of the process.


@cache
def certificate() -> str:
    """The path of a file with key, certificate and the authority's: a server's certfile, a client's cafile."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    path = Path(_folder.name, "localhost.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    authority.cert_pem.write_to_path(str(path), append=True)
    return str(path)
