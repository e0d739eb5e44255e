"""A metadata server that speaks AWS's, Google Cloud's or Azure's protocol, as strictly as they do, for tests."""

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

TOKEN = "a-session-token"  # noqa: S105  of a server of pretence
MACHINE = "raglan-spot-1"


class FakeMetadata:
    """Serves `cloud`'s metadata at `url`; `taken_at` announces the machine's end, `rebalance` its risk.

    `broken` is a status to answer everything with; `calls` are the requests so far.
    """

    def __init__(self, cloud: Literal["aws", "gcp", "azure"], address: tuple[str, int] = ("127.0.0.1", 0)):
        self.cloud = cloud
        self.taken_at: float | None = None
        self.rebalance = False
        self.machine = MACHINE
        self.broken = 0
        self.calls: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.calls.append(f"GET {self.path}")
                status, text = fake.answer(self.path, {key.lower(): value for key, value in self.headers.items()})
                self._send(status, text)

            def do_PUT(self) -> None:
                fake.calls.append(f"PUT {self.path}")
                asked = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
                self._send(fake.broken or (200 if asked and fake.cloud == "aws" else 404), TOKEN)

            def _send(self, status: int, text: str) -> None:
                self.send_response(status)
                if fake.cloud == "gcp":
                    self.send_header("Metadata-Flavor", "Google")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Nothing: `calls` has them."""

        self._server = ThreadingHTTPServer(address, Handler)
        self.url = f"http://{address[0]}:{self._server.server_port}"

    def __enter__(self) -> "FakeMetadata":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and text for a GET."""
        if self.broken:
            return self.broken, ""
        return {"aws": self._aws, "gcp": self._gcp, "azure": self._azure}[self.cloud](path, headers)

    def _aws(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if headers.get("x-aws-ec2-metadata-token") != TOKEN:
            return 401, ""
        if path == "/latest/meta-data/spot/instance-action" and self.taken_at is not None:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.taken_at))
            return 200, json.dumps({"action": "terminate", "time": at})
        if path == "/latest/meta-data/events/recommendations/rebalance" and self.rebalance:
            return 200, json.dumps({"noticeTime": "2026-11-25T12:00:00Z"})
        return 404, ""

    def _gcp(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if headers.get("metadata-flavor") != "Google":
            return 403, ""
        if path == "/computeMetadata/v1/instance/preempted":
            return 200, "FALSE" if self.taken_at is None else "TRUE"
        return 404, ""

    def _azure(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if headers.get("metadata") != "true":
            return 400, ""
        if path.startswith("/metadata/instance/compute/name?"):
            return 200, MACHINE
        if not path.startswith("/metadata/scheduledevents?"):
            return 404, ""
        freeze = {"EventType": "Freeze", "EventStatus": "Scheduled", "Resources": [MACHINE], "NotBefore": ""}
        events = [{"EventId": "1", "ResourceType": "VirtualMachine", **freeze}]
        if self.taken_at is not None:
            before = formatdate(self.taken_at, usegmt=True)
            events.append({**events[0], "EventType": "Preempt", "Resources": [self.machine], "NotBefore": before})
        return 200, json.dumps({"DocumentIncarnation": len(events), "Events": events})
