"""The fence around unit tests holds, and lets event loops live."""

import asyncio
import socket

import pytest


def test_internet_sockets_raise() -> None:
    with socket.socket() as one, pytest.raises(Exception, match="mark the test"):
        one.connect(("127.0.0.1", 9))
    with socket.socket() as two, pytest.raises(Exception, match="mark the test"):
        two.bind(("127.0.0.1", 0))
    with pytest.raises(Exception, match="mark the test"):
        socket.create_connection(("localhost", 9))


async def test_event_loops_and_unix_sockets_work() -> None:
    one, two = socket.socketpair()
    with one, two:
        one.sendall(b"x")
        assert two.recv(1) == b"x"
    assert await asyncio.to_thread(lambda: 1) == 1


@pytest.mark.world
def test_a_marked_test_may_open_sockets() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection(server.getsockname()).close()
