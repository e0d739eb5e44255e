"""How AWS, Google Cloud and Azure announce that a spot machine is taken away, each by its metadata service."""

import json
import time
from calendar import timegm
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from cluster.spot.metadata import ask
from cluster.spot.notice import Cloud, Notice, Unreachable

TOKEN_S = 600
GCP_S = 30.0
"""Google Cloud takes a spot machine 30 seconds after it says so."""
AZURE_EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
AZURE_NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
AZURE_TIMEOUT_S = 10.0
"""Azure's first answer about events may be slow, since asking turns the service on."""


class Aws:
    """EC2's instance metadata, version 2: the interruption of a spot instance, and the rebalance recommendation."""

    name = "aws"

    def __init__(self, endpoint: str, rebalance: bool = True):
        self._latest, self._rebalance = f"{endpoint}/latest", rebalance
        self._token, self._expires = "", 0.0

    def here(self) -> bool:
        return self._authorised()

    def notice(self) -> Notice | None:
        if not self._authorised():
            raise Unreachable(f"{self._latest}/api/token: not there")
        if action := self._read("spot/instance-action"):
            return Notice(f"spot {action['action']}", timegm(time.strptime(action["time"], "%Y-%m-%dT%H:%M:%SZ")))
        if self._rebalance and self._read("events/recommendations/rebalance"):
            return Notice("rebalance recommendation", None)
        return None

    def _authorised(self) -> bool:
        if time.monotonic() < self._expires:
            return True
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
        reply = ask(f"{self._latest}/api/token", lifetime, "PUT")
        if reply is None:
            return False
        self._token, self._expires = reply.text, time.monotonic() + TOKEN_S / 2
        return True

    def _read(self, path: str) -> dict[str, Any] | None:
        reply = ask(f"{self._latest}/meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})
        return None if reply is None else json.loads(reply.text)


class Gcp:
    """Compute Engine's metadata: whether the machine is being preempted."""

    name = "gcp"

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.time):
        self._url, self._clock = f"{endpoint}/computeMetadata/v1/instance/preempted", clock
        self._first: float | None = None

    def here(self) -> bool:
        reply = ask(self._url, {"Metadata-Flavor": "Google"})
        return reply is not None and reply.headers.get("metadata-flavor") == "Google"

    def notice(self) -> Notice | None:
        reply = ask(self._url, {"Metadata-Flavor": "Google"})
        if reply is None or reply.text.strip() != "TRUE":
            return None
        self._first = self._first or self._clock()
        return Notice("preemption", self._first + GCP_S)


class Azure:
    """Azure's Scheduled Events: the preemption of this machine, among the events of all that it is told of."""

    name = "azure"

    def __init__(self, endpoint: str, clock: Callable[[], float] = time.time):
        self._endpoint, self._clock = endpoint, clock
        self._machine = ""

    def here(self) -> bool:
        reply = ask(self._endpoint + AZURE_NAME, {"Metadata": "true"})
        self._machine = reply.text.strip() if reply else ""
        return bool(self._machine)

    def notice(self) -> Notice | None:
        if not self._machine and not self.here():
            raise Unreachable(f"{self._endpoint}{AZURE_NAME}: not there")
        reply = ask(self._endpoint + AZURE_EVENTS, {"Metadata": "true"}, timeout_s=AZURE_TIMEOUT_S)
        for event in json.loads(reply.text)["Events"] if reply else ():
            if event["EventType"] == "Preempt" and self._machine in event["Resources"]:
                before = event.get("NotBefore")
                return Notice("preemption", parsedate_to_datetime(before).timestamp() if before else self._clock())
        return None


def clouds(endpoint: str, rebalance: bool) -> Sequence[Cloud]:
    """Every cloud that is known."""
    return Aws(endpoint, rebalance), Gcp(endpoint), Azure(endpoint)


def find(known: Sequence[Cloud]) -> Cloud | None:
    """The cloud that this machine stands in. Raises Unreachable when none is told and some did not answer."""
    silent: Unreachable | None = None
    for cloud in known:
        try:
            if cloud.here():
                return cloud
        except Unreachable as error:
            silent = error
    if silent:
        raise silent
    return None
