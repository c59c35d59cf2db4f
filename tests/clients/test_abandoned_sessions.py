"""Clients that vanish in mid-air, many at once: each session ends, says why, and leaves nothing behind.

``WELLHEAD_ABANDONED=10000`` runs it with so many sessions; the figures are in the test's output with ``-rP``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from kit.needs import CLIENTS
from kit.programs import server_program

pytestmark = [pytest.mark.integration, pytest.mark.modes("unpatched")]

SESSIONS = int(os.environ.get("WELLHEAD_ABANDONED", "1000"))
MOST_THAT_STAYS = 0.2
"""Of the memory blocks that the sessions took: the server keeps the workers that they needed."""


@pytest.mark.timeout(300)
@pytest.mark.spec("SJS-08", "SJS-09", "SJS-14")
def test_abandoned_sessions_end_and_leave_nothing_behind() -> None:
    with server_program("abandoned_app:app", folder=CLIENTS) as server:
        command = [sys.executable, str(CLIENTS / "abandon.py"), str(server.port), str(SESSIONS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    before, peak, after = found["before"], found["peak"], found["after"]
    print(json.dumps(found))

    # What waits has a request: those without may be over already when the last one has come.
    assert peak["open"] == peak["objects"] >= 0.9 * SESSIONS
    assert (after["open"], after["objects"]) == (0, 0)
    ends = Counter(after["ends"])
    ends.subtract(before["ends"])
    without_request = SESSIONS // 20
    assert +ends == {
        # Seen when its connection ended.
        "xhr_streaming 1006 CLIENT_VANISHED": SESSIONS // 2,
        "xhr 1006 CLIENT_VANISHED": SESSIONS // 2 - without_request,
        # Seen when nobody had asked for so long.
        "xhr 3000 CLIENT_VANISHED": without_request,
    }
    stays = (after["blocks"] - before["blocks"]) / (peak["blocks"] - before["blocks"])
    assert stays <= MOST_THAT_STAYS
