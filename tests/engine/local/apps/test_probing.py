"""Probing: listening, or answering a path."""

from __future__ import annotations

import asyncio

import pytest
from flyte_nb.engine.local.apps.probing import answers


@pytest.mark.parametrize(("status", "found"), [(200, True), (404, True), (503, False)])
def test_a_path_is_answered_by_a_status_below_500(status: int, found: bool) -> None:
    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /ready HTTP/1.1\r\n")
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert (await answers(port, "/ready") == "127.0.0.1") is found

    asyncio.run(main())


def test_listening_is_enough_and_nobody_is_not() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: w.close(), "::1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await answers(port) == "::1"
        server.close()
        await server.wait_closed()
        assert await answers(port) is None

    asyncio.run(main())
