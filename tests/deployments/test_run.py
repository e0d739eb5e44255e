"""What `make run` sees before it starts anything."""

import socket

import pytest

from deployments.run import answers, taken


@pytest.mark.world
def test_a_port_is_taken_by_whatever_listens() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.listen()
        assert taken(port)
    assert not taken(port)
    assert not answers(f"http://127.0.0.1:{port}")
