"""Locks are native ones, whatever was patched, and whenever."""

from __future__ import annotations

import subprocess
import sys

import pytest
from gevent.monkey import get_original

from wellhead.messaging.locks import allocate_lock, allocate_reentrant_lock

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


@pytest.mark.spec("CH-06")
@pytest.mark.parametrize("steps", [(), (PATCH,)], ids=["unpatched", "patched"])
def test_a_thread_may_take_a_reentrant_lock_again_and_it_is_native(steps):
    take = "lock = allocate_reentrant_lock()\nwith lock, lock: print(type(lock).__module__)"
    program = "\n".join((*steps, IMPORT.replace("allocate_lock", "allocate_reentrant_lock"), take))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("_thread\n", "")
    assert allocate_reentrant_lock() is not allocate_reentrant_lock()
