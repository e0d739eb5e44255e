"""The tracer that sends to Langfuse, over OpenTelemetry and with a provider of its own: no global is touched.

No request waits for it: what a stage is done with goes to a thread that masks it, then to the SDK's that uploads it.
"""

import atexit
import hashlib
import hmac
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from langfuse import Langfuse, propagate_attributes
from langfuse._client.resource_manager import LangfuseResourceManager
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from deployments.tracing import NoObservation, NoTrace, TracingConfig
from deployments.tracing_content import Content
from deployments.tracing_outbox import QUEUE_SPANS, Ended, Outbox
from rag.stages import Kind

logger = logging.getLogger(__name__)

BATCH_SPANS = 128
"""Observations in one upload: some hundred kilobytes."""
trace_context = TraceContextTextMapPropagator()
baggage = W3CBaggagePropagator()


class Provider(TracerProvider):
    """A provider of our own, which neither registers itself nor acts at exit, and gives its batches a longer queue."""

    def __init__(self, sample_rate: float) -> None:
        super().__init__(
            sampler=TraceIdRatioBased(sample_rate),
            resource=Resource({"service.name": "raglan"}),
            shutdown_on_exit=False,
        )

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add it; Langfuse's processor takes its queue length from the environment only, so it is set here."""
        if isinstance(span_processor, BatchSpanProcessor):
            batches = span_processor._batch_processor
            batches._max_queue_size = QUEUE_SPANS
            batches._queue = deque(maxlen=QUEUE_SPANS)
        super().add_span_processor(span_processor)


@dataclass(slots=True)
class LangfuseObservation:
    """An open observation. Also a context manager, which ends it and tells an error; it may span awaits and yields.

    What it is given is read after `end` returned: leave it unchanged.
    """

    outbox: Outbox
    raw: Any
    kind: Kind
    context: Context
    input: Any
    fields: Mapping[str, Any]
    ended: bool = False

    @property
    def carrier(self) -> dict[str, str]:
        """W3C traceparent and baggage, for a handle call: what another process observes then stands under this."""
        carrier: dict[str, str] = {}
        trace_context.inject(carrier, self.context)
        baggage.inject(carrier, self.context)
        return carrier

    def end(self, output: Any = None, **fields: Any) -> None:
        """Close it; only the first call counts.

        `fields`: level, status_message, metadata; for a generation or an embedding also model, model_parameters,
        usage_details, cost_details, completion_start_time (a datetime) and prompt ("name@version", which links it).
        Any other field becomes metadata.
        """
        if self.ended:
            return
        self.ended = True
        metadata = {**(self.fields.get("metadata") or {}), **(fields.get("metadata") or {})}
        known = {**self.fields, **fields, "metadata": metadata}
        span = get_current_span(self.context)
        self.outbox.put(Ended(self.raw, span, self.kind, self.input, output, known, time.time_ns()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if kind is None:
            self.end()
        elif issubclass(kind, Exception):
            self.end(level="ERROR", status_message=kind.__name__)
        else:
            self.end(level="WARNING", status_message="cancelled")


class LangfuseTrace:
    """One request's trace, bound to its root observation."""

    def __init__(self, root: LangfuseObservation, id: str, tracer: "LangfuseTracer") -> None:
        self.id = id
        self.carrier = root.carrier
        self._root = root
        self._tracer = tracer

    def start(self, name: str, kind: Kind, input: Any = None, **fields: Any) -> LangfuseObservation:
        """Open a child of the root; `fields` as in `LangfuseObservation.end`."""
        return self._tracer.open(self._root.context, name, kind, input, fields)

    def end(self, output: Any = None, **fields: Any) -> None:
        """Close the root."""
        self._root.end(output, **fields)


class LangfuseTracer:
    """The way of one process to Langfuse. One per process and public key: the SDK keeps one client for each key."""

    def __init__(self, config: TracingConfig, mask: Callable[[str], str]) -> None:
        self._content = Content(mask, config.max_chars, config.capture_content)
        self._key, self._secret = config.public_key, config.secret_key.get_secret_value()
        self._provider = Provider(config.sample_rate)
        client = Langfuse(
            public_key=self._key,
            secret_key=self._secret,
            base_url=config.host.rstrip("/"),
            environment=config.environment,
            release=config.release,
            sample_rate=config.sample_rate,
            timeout=config.timeout_s,
            flush_at=BATCH_SPANS,
            flush_interval=config.flush_s,
            tracer_provider=self._provider,
        )
        resources: Any = client._resources
        resources._media_manager._enabled = False  # it would upload what looks like a data URI, before any mask
        atexit.unregister(resources.shutdown)  # it waits without a limit
        self._client: Any = client
        self._outbox = Outbox(self._content, self._stop)
        self._closed = False
        atexit.register(self.close)

    def start(
        self, name: str, input: Any, user: str | None, session: str | None, metadata: Mapping[str, str]
    ) -> LangfuseTrace | NoTrace:
        """Open a request's trace, of its own whatever else is traced around it.

        A user or session that the mask would change is replaced by a pseudonym: the same one in every process.
        """
        if self._closed:
            return NoTrace()
        token = attach(Context())
        try:
            with propagate_attributes(
                user_id=self.pseudonym(user), session_id=self.pseudonym(session), as_baggage=True
            ):
                root = self.open(get_current(), name, "chain", input, {"metadata": metadata})
        finally:
            detach(token)
        span = get_current_span(root.context)
        id = f"{span.get_span_context().trace_id:032x}"
        return LangfuseTrace(root, id, self) if span.is_recording() else NoTrace(id)

    def observe(
        self, carrier: Mapping[str, str], name: str, kind: Kind, input: Any = None, **fields: Any
    ) -> LangfuseObservation | NoObservation:
        """Open an observation under the one whose `carrier` came with the call, for its user and session.

        An empty carrier (tracing is off, or this request is not sampled) gives one that is not recorded.
        """
        if self._closed or not carrier:
            return NoObservation()
        context = baggage.extract(carrier, trace_context.extract(carrier, Context()))
        return self.open(context, name, kind, input, fields)

    def open(
        self, parent: Context, name: str, kind: Kind, input: Any, fields: Mapping[str, Any]
    ) -> LangfuseObservation:
        """Open an observation under `parent`. The current context is the caller's again on return."""
        token = attach(parent)
        try:
            with self._client.start_as_current_observation(name=name, as_type=kind, end_on_exit=False) as raw:
                return LangfuseObservation(self._outbox, raw, kind, get_current(), input, fields)
        finally:
            detach(token)

    def pseudonym(self, identity: str | None) -> str | None:
        """Return `identity` where it may be sent as it is, else a keyed hash of it; None for none."""
        if not identity:
            return None
        if len(identity) <= 200 and self._content.label(identity) == identity:
            return identity
        return "id-" + hmac.new(self._secret.encode(), identity.encode(), hashlib.sha256).hexdigest()[:24]

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what waits, for at most `timeout_s` seconds, and stop; the rest is dropped. Runs at exit by itself."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        LangfuseResourceManager._instances.pop(self._key, None)  # or the next tracer of this key would be a dead one
        if not self._outbox.close(timeout_s):
            logger.warning("Langfuse did not take the last observations within %.1f s; they are dropped", timeout_s)

    def _stop(self) -> None:
        self._provider.shutdown()
        self._client.shutdown()
