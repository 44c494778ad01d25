"""Spans, traces and logs: what is recorded when somebody wants to know, and what never is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from harness import Mesh, Refused
from repomesh.kernel.identity import system_caller
from repomesh.kernel.telemetry import configure_logging, is_traceparent, trace_id_of, tracer
from repomesh.store.filters import filter_for

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a provider exports; it is the process's provider during the test only."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracer, "_tracer", provider.get_tracer("repomesh"))
    yield exporter
    provider.shutdown()


async def test_a_request_is_one_trace_from_the_caller_to_the_store(
    mesh: Mesh, spans: InMemorySpanExporter
) -> None:
    await mesh.post("/v1/tokens", headers={"traceparent": PARENT}, role="observer")
    seen = {span.name: span for span in spans.get_finished_spans()}
    operation, write = seen["token.create"], seen["store.write"]
    assert operation.parent is not None
    assert operation.parent.span_id == int(PARENT[36:52], 16)
    assert format(operation.context.trace_id, "032x") == PARENT[3:35]
    assert write.parent is not None
    assert write.parent.span_id == operation.context.span_id


async def test_the_trace_id_of_a_problem_finds_its_span(mesh: Mesh, spans: InMemorySpanExporter) -> None:
    with pytest.raises(Refused) as refused:
        await mesh.get("/v1/agents/nobody")
    span = next(span for span in spans.get_finished_spans() if span.name == "agent.show")
    assert format(span.context.trace_id, "032x") == refused.value.problem["trace_id"]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "agent_not_found")
    assert span.attributes is not None
    assert "repomesh.workspace_id" in span.attributes


async def test_handing_events_to_subscribers_is_a_span(mesh: Mesh, spans: InMemorySpanExporter) -> None:
    home = (await mesh.get("/v1/workspace"))["id"]
    async with mesh.server.tails.subscribe(filter_for(system_caller(home)), None) as subscription:
        await mesh.post("/v1/tokens", role="observer")
        assert await subscription.next(10)
    assert "push" in {span.name for span in spans.get_finished_spans()}


def test_only_a_valid_traceparent_counts() -> None:
    assert trace_id_of(PARENT) == PARENT[3:35]
    assert is_traceparent(PARENT)
    for odd in (
        None,
        "",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0x" + "1" * 30 + "-b7ad6b7169203331-01",
        PARENT + "\n",
        PARENT + "-more",
    ):
        assert not is_traceparent(odd), odd
        assert len(trace_id_of(odd)) == 32
        assert trace_id_of(odd) != trace_id_of(odd)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged."""
    made, before = io.StringIO(), structlog.get_config()
    configure_logging("debug", made)
    yield made
    structlog.configure(**before)


async def test_logs_are_json_lines_without_tokens(mesh: Mesh, stream: io.StringIO) -> None:
    alice = await mesh.agent("alice")
    for method, path in (("GET", "/v1/agents?limit=no"), ("POST", "/v1/agents/nobody/heartbeat")):
        await alice.request(method, path)
    assert alice.registration is not None
    await mesh.delete(f"/v1/tokens/{alice.registration['token_id']}")
    await alice.request("GET", "/v1/agents")
    mesh.server.store.close()
    assert (await mesh.request("GET", "/readyz")).status_code == 503
    assert (await mesh.request("POST", "/v1/tokens", json={"role": "observer"})).status_code == 503
    lines = stream.getvalue().splitlines()
    assert lines
    assert all(json.loads(line)["level"] for line in lines)
    assert mesh.token is not None
    assert alice.token is not None
    assert mesh.token not in stream.getvalue()
    assert alice.token not in stream.getvalue()
