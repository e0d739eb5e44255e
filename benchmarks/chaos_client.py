"""One HTTP request through a load balancer that looks after the machines, and its end. Nothing is sent twice."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

TIMEOUT_S = 150.0
CONNECT_S = 2.0
CHECK_S = 0.5
UNREACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection came about, so nothing was sent."""


@dataclass(slots=True)
class Reply:
    """`status` is 0 where none came, `broken` how the connection failed. `failovers` counts machines out of reach."""

    status: int = 0
    body: bytes = b""
    broken: str = ""
    failovers: int = 0


@dataclass
class Balancer:
    """Takes the machines in turn, those first that say they are healthy."""

    addresses: tuple[str, ...]
    port: int
    well: set[str] = field(default_factory=set)
    turn: int = 0

    def order(self) -> list[str]:
        """Where to connect, in order."""
        self.turn += 1
        n = self.turn % len(self.addresses)
        rotated = self.addresses[n:] + self.addresses[:n]
        return sorted(rotated, key=lambda address: address not in self.well)

    async def watch(self, session: aiohttp.ClientSession) -> None:
        """Ask every machine again and again, as a load balancer does."""
        while True:
            for address in self.addresses:
                healthy = await self.healthy(session, address)
                (self.well.add if healthy else self.well.discard)(address)
            await asyncio.sleep(CHECK_S)

    async def healthy(self, session: aiohttp.ClientSession, address: str) -> bool:
        limit = aiohttp.ClientTimeout(total=CONNECT_S)
        try:
            async with session.get(f"http://{address}:{self.port}/-/healthz", timeout=limit) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False


@dataclass
class Client:
    """Sends requests, each on a connection of its own."""

    session: aiohttp.ClientSession
    balancer: Balancer

    async def ask(
        self, key: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request once; only a machine that no connection can be made to is passed over."""
        reply = Reply()
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        for address in self.balancer.order():
            url = f"http://{address}:{self.balancer.port}{path}"
            reply.broken = ""
            try:
                async with self.session.request(method, url, json=body, headers=sent) as response:
                    reply.status = response.status
                    async for data in response.content.iter_any():
                        reply.body += data
            except UNREACHED as error:
                reply.failovers += 1
                reply.broken = type(error).__name__
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                reply.broken = type(error).__name__
            return reply
        return reply


@asynccontextmanager
async def client(addresses: tuple[str, ...], port: int) -> AsyncIterator[Client]:
    """A client whose load balancer is at work."""
    limit = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        balancer = Balancer(addresses, port, set(addresses))
        watching = asyncio.create_task(balancer.watch(session))
        try:
            yield Client(session, balancer)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
