"""Spans, metrics and structured logs. Nothing leaves the machine unless an endpoint is set."""

from __future__ import annotations

import logging
import random
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TextIO

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from repomesh.kernel.identity import RequestContext
from repomesh.kernel.settings import Settings


class _NoSpan:
    """A span that nobody records: entering and leaving it costs nothing."""

    def __enter__(self) -> trace.Span:
        return trace.INVALID_SPAN

    def __exit__(self, *_: object) -> None:
        return None


class Tracer:
    """OpenTelemetry's tracer, except that spans are not even begun while nobody records them.

    A span of the library's own no-op tracer costs 5 µs, asking it whether there is a provider 3, and a
    request passes through three.
    """

    def __init__(self) -> None:
        self._tracer: trace.Tracer | None = None
        self._no_span = _NoSpan()
        provider = trace.get_tracer_provider()
        if not isinstance(provider, trace.ProxyTracerProvider):  # set by whoever started this process
            self.record_to(provider)

    def record_to(self, provider: trace.TracerProvider) -> None:
        """Begin spans from now on, for `provider`."""
        self._tracer = provider.get_tracer("repomesh")

    def span(
        self, name: str, trace_id: str = "", traceparent: str | None = None
    ) -> AbstractContextManager[trace.Span]:
        """A context manager for a span; the code that catches an error sets the span's status.

        The outermost span belongs to the request's trace, so that a problem document's `trace_id` finds it.
        """
        if self._tracer is None:
            return self._no_span
        parent = _request_context(trace_id, traceparent) if trace_id else None
        return self._tracer.start_as_current_span(
            name, context=parent, record_exception=False, set_status_on_exception=False
        )


def _request_context(trace_id: str, traceparent: str | None) -> Context | None:
    if trace.get_current_span().get_span_context().is_valid:
        return None
    if traceparent is None:
        span_id, flags = random.getrandbits(64) or 1, int(trace.TraceFlags.SAMPLED)
    else:
        span_id, flags = int(traceparent[36:52], 16), int(traceparent[53:55], 16)
    remote = trace.SpanContext(int(trace_id, 16), span_id, True, trace.TraceFlags(flags))
    return trace.set_span_in_context(trace.NonRecordingSpan(remote))


tracer = Tracer()


class Metrics:
    """The Prometheus series of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.operations = Counter(
            "repomesh_operations", "Operations by outcome.", ["operation", "code"], registry=self.registry
        )
        self.operation_seconds = Histogram(
            "repomesh_operation_seconds",
            "Time from the payload to the answer.",
            ["operation"],
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 60),
            registry=self.registry,
        )
        self._answered: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self.commits = Counter("repomesh_commits", "Transactions made durable.", registry=self.registry)
        self.commit_pieces = Counter(
            "repomesh_commit_pieces", "Commands that these commits carried.", registry=self.registry
        )
        self.subscribers = Gauge(
            "repomesh_stream_subscribers", "Open event streams and sockets.", registry=self.registry
        )
        self.delivered = Counter(
            "repomesh_stream_events", "Events handed to subscribers.", registry=self.registry
        )
        self.overflows = Counter(
            "repomesh_stream_overflows", "Subscribers closed for being slow.", registry=self.registry
        )
        self.webhook_attempts = Counter(
            "repomesh_webhook_attempts",
            "Events sent to webhooks, by what came of it.",
            ["outcome"],
            registry=self.registry,
        )
        self.webhook_seconds = Histogram(
            "repomesh_webhook_seconds",
            "Time of an attempt, from the look-up of the name to the answer.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
            registry=self.registry,
        )

        self.changes_open = Gauge(
            "repomesh_changes_open",
            "Changes under way or given back, of all workspaces.",
            ["state"],
            registry=self.registry,
        )
        self.changes_oldest = Gauge(
            "repomesh_changes_oldest_seconds", "Age of the oldest change under way.", registry=self.registry
        )
        self.changes_landed = Counter(
            "repomesh_changes_landed",
            "Landed changes by who merged them.",
            ["merged_by"],
            registry=self.registry,
        )
        self.changes_failed = Counter(
            "repomesh_changes_failed",
            "Failed attempts by class of error.",
            ["error_class"],
            registry=self.registry,
        )
        self.change_seconds = Histogram(
            "repomesh_change_seconds",
            "Time from the submission of a change to its landing.",
            buckets=(0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400),
            registry=self.registry,
        )
        self.check_seconds = Histogram(
            "repomesh_check_seconds",
            "Time of a check, by what came of it.",
            ["outcome"],
            buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400),
            registry=self.registry,
        )

    def show_changes(self, open_by_state: Mapping[str, int], oldest_s: float) -> None:
        """Set how many changes are open by state, and the age of the oldest one under way in seconds."""
        self.changes_open.clear()
        for state, count in open_by_state.items():
            self.changes_open.labels(state).set(count)
        self.changes_oldest.set(oldest_s)

    def answered(self, operation: str, code: str, seconds: float) -> None:
        """Count an operation's outcome and how long it took."""
        series = self._answered.get((operation, code))
        if series is None:  # finding a series by its labels costs more than counting in it
            series = self.operations.labels(operation, code), self.operation_seconds.labels(operation)
            self._answered[operation, code] = series
        series[0].inc()
        series[1].observe(seconds)


def new_trace_id() -> str:
    """A W3C trace id: 128 random bits in hexadecimal. It names a request and protects nothing."""
    return f"{random.getrandbits(128):032x}"


# https://www.w3.org/TR/trace-context/#traceparent-header, of which ids of zeros are invalid
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str | None) -> bool:
    """Whether it is a W3C traceparent; anything else is passed over, as the standard wants it."""
    return text is not None and _TRACEPARENT.fullmatch(text) is not None


def traced_context(traceparent: str | None) -> RequestContext:
    """The context of a request that came with this traceparent, or with none that is valid."""
    if not is_traceparent(traceparent):
        return RequestContext(trace_id=new_trace_id())
    return RequestContext(trace_id=trace_id_of(traceparent), traceparent=traceparent)


def trace_id_of(traceparent: str | None) -> str:
    """The trace id inside a W3C traceparent, or a new one when there is none that is valid."""
    if traceparent is not None and is_traceparent(traceparent):
        return traceparent[3:35]
    return new_trace_id()


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Log one JSON object a line to `stream` (standard error unless given)."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def configure_tracing(settings: Settings, version: str) -> None:
    """Export spans over OTLP when an endpoint is set; otherwise spans cost next to nothing.

    Raises RuntimeError when the endpoint is set and the extra `otlp` is not installed.
    """
    if settings.otlp_endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise RuntimeError(
            "REPOMESH_OTLP_ENDPOINT is set but the exporter is not installed: pip install 'repomesh[otlp]'"
        ) from missing
    provider = TracerProvider(
        resource=Resource.create({"service.name": "repomesh", "service.version": version})
    )
    endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    tracer.record_to(provider)
