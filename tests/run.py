"""Runs pytest in the mode that WELLHEAD_TEST_MODE names; the arguments are pytest's.

The mode ``patched`` needs this: gevent has to patch the standard library before pytest imports it.
"""

from __future__ import annotations

import os
import sys

if os.environ.get("WELLHEAD_TEST_MODE") == "patched":
    from gevent import monkey

    monkey.patch_all()

import pytest

sys.exit(pytest.main(sys.argv[1:]))
