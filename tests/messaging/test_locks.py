"""Locks are native ones, whatever was patched, and whenever."""

from __future__ import annotations

import subprocess
import sys

import pytest
from gevent.monkey import get_original

from wellhead.messaging.locks import allocate_lock

PATCH = "from gevent import monkey; monkey.patch_all()"
IMPORT = "from wellhead.messaging.locks import allocate_lock"
SHOW = "print(type(allocate_lock()).__module__)"


@pytest.mark.spec("CH-06")
def test_locks_are_native():
    assert type(allocate_lock()) is type(get_original("_thread", "allocate_lock")())
    with allocate_lock():
        assert allocate_lock() is not allocate_lock()


@pytest.mark.spec("CH-06")
@pytest.mark.parametrize("steps", [(IMPORT,), (PATCH, IMPORT), (IMPORT, PATCH)], ids=["unpatched", "before", "after"])
def test_it_does_not_matter_when_gevent_patches(steps):
    done = subprocess.run([sys.executable, "-c", "\n".join((*steps, SHOW))], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("_thread\n", "")
