"""As much of a Langfuse server as tracing needs: takes OTLP on loopback, checks the contract, keeps the spans."""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

TRACES = "/api/public/otel/v1/traces"
OBSERVATION = "langfuse.observation."


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire; ids in hex, times in nanoseconds, `parent` empty for a root."""

    trace: str
    id: str
    parent: str
    name: str
    attributes: dict[str, Any]
    error: bool
    start: int
    end: int

    @property
    def kind(self) -> str:
        """The Langfuse observation type."""
        return str(self.attributes[OBSERVATION + "type"])

    @property
    def app_root(self) -> bool:
        """Whether Langfuse will show it as the request itself."""
        return self.attributes.get("langfuse.internal.is_app_root") is True

    def field(self, name: str) -> Any:
        """Return `langfuse.observation.<name>`, its JSON decoded; None when it is not there."""
        value = self.attributes.get(OBSERVATION + name)
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value


class OtlpReceiver:
    """Listens on a free loopback port inside `with`.

    `behaviour`: "answers"; "fails" with 500; "silent" accepts connections and never answers.
    `spans` are what came, `raw` all decompressed bodies in one, `problems` every broken promise of the contract.
    """

    def __init__(self, name: str = "test", behaviour: Literal["answers", "fails", "silent"] = "answers") -> None:
        """`name` is part of both keys; two receivers used by one process need two names."""
        self.public_key = f"pk-lf-{name}"
        self.secret_key = f"sk-lf-{name}"
        self.behaviour = behaviour
        self.spans: list[ReceivedSpan] = []
        self.raw = b""
        self.problems: list[str] = []
        self.requests = 0
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def config(self) -> dict[str, Any]:
        """The `tracing:` section that sends here, quickly."""
        keys = {"public_key": self.public_key, "secret_key": self.secret_key}
        return {"host": self.url, **keys, "flush_s": 0.2, "timeout_s": 2}

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def wait(self, done: int | Callable[[Sequence[ReceivedSpan]], bool], timeout_s: float = 20.0) -> list[ReceivedSpan]:
        """Return the spans once there are `done` of them, or `done(spans)` holds; TimeoutError names what came."""

        def enough() -> bool:
            return len(self.spans) >= done if isinstance(done, int) else done(self.spans)

        with self.changed:
            if not self.changed.wait_for(enough, timeout_s):
                raise TimeoutError(f"after {timeout_s} s: {[s.name for s in self.spans]}, problems {self.problems}")
            return list(self.spans)

    def trace(self, id: str, spans: int, timeout_s: float = 20.0) -> list[ReceivedSpan]:
        """Return the spans of one trace, by start time, once there are `spans` of them."""
        found = self.wait(lambda all_: sum(s.trace == id for s in all_) >= spans, timeout_s)
        return sorted((s for s in found if s.trace == id), key=lambda s: s.start)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Check one request against the contract and keep its spans."""
        expected = {
            "authorization": "Basic " + base64.b64encode(f"{self.public_key}:{self.secret_key}".encode()).decode(),
            "content-encoding": "gzip",
            "content-type": "application/x-protobuf",
            "x-langfuse-ingestion-version": "4",
            "x-langfuse-public-key": self.public_key,
        }
        wrong = [f"{k}: {headers.get(k)!r}" for k, v in expected.items() if headers.get(k) != v]
        if path != TRACES:
            wrong.append(f"path: {path}")
        data = b"" if wrong else gzip.decompress(body)
        with self.changed:
            self.requests += 1
            self.problems += wrong
            self.raw += data
            self.spans += decoded(data)
            self.changed.notify_all()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if receiver.behaviour == "silent":
                    receiver.released.wait(60)
                    self.close_connection = True
                    return
                if receiver.behaviour == "answers":
                    receiver.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(200 if receiver.behaviour == "answers" else 500)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.problems.append(f"GET {self.path}")
                self.send_error(404)

            do_PATCH = do_PUT = do_GET

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

        return Handler


def decoded(body: bytes) -> list[ReceivedSpan]:
    """Return the spans of an ExportTraceServiceRequest."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            attributes={a.key: plain(a.value) for a in span.attributes},
            error=span.status.code == span.status.STATUS_CODE_ERROR,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def plain(value: AnyValue) -> Any:
    """Return an OTLP value as a Python one."""
    which = value.WhichOneof("value")
    if which == "array_value":
        return [plain(v) for v in value.array_value.values]
    return getattr(value, which) if which else None


def tree(spans: Sequence[ReceivedSpan]) -> dict[str, str]:
    """Return each span's name with its parent's name ("" for a root, "?" for one that never came)."""
    names = {s.id: s.name for s in spans}
    return {s.name: names.get(s.parent, "?") if s.parent else "" for s in spans}


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return once `condition` holds; TimeoutError otherwise."""
    limit = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError
        time.sleep(0.02)
