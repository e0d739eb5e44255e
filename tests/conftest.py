"""Unit tests cannot reach the world: sockets and Ray raise, unless a test is marked to need them."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

WORLDLY = ("world", "ray", "vllm", "browser")
INTERNET = (socket.AF_INET, socket.AF_INET6)


class ReachedTheWorld(Exception):
    """A unit test tried to open a connection or to start a cluster."""


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise ReachedTheWorld("mark the test 'world' (or ray, vllm, browser) if it has to")


def local_only(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let Unix sockets through: event loops are made of them."""

    def guarded(self: socket.socket, *arguments: Any) -> Any:
        return refuse() if self.family in INTERNET else method(self, *arguments)

    return guarded


@pytest.fixture(autouse=True)
def shut_out_the_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is guarded only where the test has imported it: importing it here would cost every run a second."""
    if any(request.node.get_closest_marker(mark) for mark in WORLDLY):
        return
    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, local_only(getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    if ray := sys.modules.get("ray"):
        monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture(scope="session")
def vector_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the handbook's vectors are kept for all tests of a run."""
    return tmp_path_factory.mktemp("vectors")
