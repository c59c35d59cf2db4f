"""Where the page gets its client libraries from: the local packages if node installed them, else a public CDN."""

from __future__ import annotations

import shutil
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PACKAGES = Path(__file__).parents[2] / "tests" / "clients" / "node_modules"


def stompjs() -> str:
    """The address of @stomp/stompjs for a script tag."""
    return _script("@stomp/stompjs", "bundles/stomp.umd.min.js", "7")


def sockjs() -> str:
    """The address of sockjs-client for a script tag."""
    return _script("sockjs-client", "dist/sockjs.min.js", "1")


def _script(package: str, path: str, version: str) -> str:
    local = PACKAGES / package / path
    if not local.is_file():
        return f"https://cdn.jsdelivr.net/npm/{package}@{version}/{path}"
    target = STATIC / "vendor" / local.name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(local, target)
    return f"/static/vendor/{local.name}"
