"""python-socketio on gevent: everybody is in one room, and what ``pub`` brings goes to all others in it.

    python python_socketio.py PORT

Run by the Python of an environment of its own (provision.py).
"""

from __future__ import annotations

import resource
import signal
import sys

import gevent  # type: ignore[import-untyped]  # no type information
import socketio  # type: ignore[import-not-found]  # not in the environment of wellhead
from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # no type information
from geventwebsocket.handler import WebSocketHandler  # type: ignore[import-untyped]  # no type information

ROOM = "all"

server = socketio.Server(async_mode="gevent", transports=["websocket"])


@server.event  # type: ignore[untyped-decorator]  # of a package without types here
def connect(sid: str, environ: object) -> None:
    server.enter_room(sid, ROOM)


@server.event  # type: ignore[untyped-decorator]  # of a package without types here
def pub(sid: str, data: str) -> None:
    server.emit("msg", data, room=ROOM, skip_sid=sid)


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    application = socketio.WSGIApp(server)
    listener = ("127.0.0.1", int(sys.argv[1]))
    http = WSGIServer(listener, application, handler_class=WebSocketHandler, log=None, backlog=4096)
    gevent.signal_handler(signal.SIGTERM, sys.exit, 0)
    http.serve_forever()


if __name__ == "__main__":
    main()
