"""A bare `websockets` server on loopback that answers every frame with the same text, and a client that asks.

What a round trip costs at the least between two Python processes: nothing is looked up, nothing is parsed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


def round_trips(asked: str, answer: str, count: int, warm_up: int = 200) -> list[float]:
    """Seconds of so many round trips, one after another."""
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        server.stdin.write(answer + "\n")
        server.stdin.flush()
        return asyncio.run(_ask(int(server.stdout.readline()), asked, answer, count + warm_up))[warm_up:]
    finally:
        server.kill()
        server.communicate()


async def _ask(port: int, asked: str, answer: str, count: int) -> list[float]:
    taken = []
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
        for _ in range(count):
            began = time.perf_counter()
            await connection.send(asked)
            assert answer == await connection.recv()
            taken.append(time.perf_counter() - began)
    return taken


async def _serve(answer: str) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send(answer)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.stdin.readline().removesuffix("\n")))
