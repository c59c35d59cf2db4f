"""``broadcast`` of websockets on asyncio: every text frame goes to all other connections.

    python websockets_broadcast.py PORT

Run by the Python of an environment of its own (provision.py).
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        async for message in connection:
            connections.discard(connection)
            broadcast(connections, message)
            connections.add(connection)
    finally:
        connections.discard(connection)


async def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), compression=None, ping_interval=None, backlog=4096):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
