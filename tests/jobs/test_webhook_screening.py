"""Webhooks reach the Internet and what the operator named, and nothing between, whatever a name leads to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh, Refused
from receiver import Receiver, eventually, receiving

pytestmark = pytest.mark.anyio

PUBLIC, PRIVATE, LOOPBACK = "93.184.216.34", "10.0.0.7", "127.0.0.1"


class Names:
    """What names lead to: each look-up of one takes its next answer, the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.looked_up: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host not in self.answers:
            return self._real(host, port, *rest, **named)
        self.looked_up.append(host)
        answers = self.answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def refused(mesh: Mesh, url: str) -> dict[str, Any]:
    with pytest.raises(Refused) as error:
        await mesh.post("/v1/webhooks", url=url)
    assert error.value.status == 422
    problem: dict[str, Any] = error.value.problem
    assert problem["errors"][0]["field"] == "url"
    return problem


async def only_delivery(mesh: Mesh, webhook_id: str, status: str, attempts: int) -> dict[str, Any]:
    """The one delivery, once it is in this state."""
    found: list[dict[str, Any]] = []

    async def as_expected() -> bool:
        nonlocal found
        found = (await mesh.get(f"/v1/webhooks/{webhook_id}/deliveries"))["items"]
        return [(one["status"], one["attempts"]) for one in found] == [(status, attempts)]

    await eventually(as_expected)
    return found[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8787/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://169.254.169.254/latest/meta-data",
        "http://user:word@1.1.1.1/",
        "http://1.1.1.1/#part",
        "https://no-such-host.invalid/",
    ],
)
async def test_what_leads_inside_is_refused_at_once(mesh: Mesh, url: str) -> None:
    assert (await refused(mesh, url))["code"] == "webhook_url_refused"
    made = await mesh.post("/v1/webhooks", url="https://receiver.invalid/hook")
    with pytest.raises(Refused) as error:
        await mesh.patch(f"/v1/webhooks/{made['webhook']['id']}", url=url)
    assert error.value.code == "webhook_url_refused"


@pytest.mark.parametrize(
    "url", ["ftp://1.1.1.1/", "file:///etc/passwd", "https://a b/", "", "https://" + "a" * 2_041]
)
async def test_what_is_no_url_is_refused(mesh: Mesh, url: str) -> None:
    assert (await refused(mesh, url))["code"] == "invalid_request"


async def test_one_private_address_among_public_ones_is_enough(mesh: Mesh, names: Names) -> None:
    names.answers["half.example"] = [[PUBLIC, PRIVATE]]
    assert PRIVATE in (await refused(mesh, "https://half.example/"))["detail"]
    names.answers["whole.example"] = [[PUBLIC]]
    made = await mesh.post("/v1/webhooks", url="https://whole.example/", types=["nothing"])
    assert made["webhook"]["status"] == "active"


async def test_a_name_that_leads_inside_later_is_not_followed(
    mesh: Mesh, names: Names, receiver: Receiver
) -> None:
    url = f"http://rebind.example:{receiver.port}/"
    names.answers["rebind.example"] = [[PUBLIC], [LOOPBACK]]
    webhook = (await mesh.post("/v1/webhooks", url=url))["webhook"]
    await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
    delivery = await only_delivery(mesh, webhook["id"], "waiting", 1)
    assert delivery["last_error"] == f"rebind.example leads to {LOOPBACK}, which is not a public address"
    assert receiver.got == []


@pytest.mark.settings(webhook_hosts=["pinned.example"])
async def test_what_was_looked_up_is_connected_to(mesh: Mesh, names: Names, receiver: Receiver) -> None:
    names.answers["pinned.example"] = [[LOOPBACK], [PUBLIC]]
    url = f"http://pinned.example:{receiver.port}/hook"
    webhook = (await mesh.post("/v1/webhooks", url=url))["webhook"]
    await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
    await only_delivery(mesh, webhook["id"], "delivered", 1)
    assert names.looked_up == ["pinned.example"]
    assert receiver.got[0].headers["host"] == f"pinned.example:{receiver.port}"


async def test_only_the_named_port_of_a_host_is_admitted(mesh: Mesh, receiver: Receiver) -> None:
    hosts = mesh.server.settings.webhook_hosts
    hosts.append(f"127.0.0.1:{receiver.port}")
    assert (await refused(mesh, "http://127.0.0.1:1/"))["code"] == "webhook_url_refused"
    webhook = (await mesh.post("/v1/webhooks", url=receiver.url))["webhook"]
    await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
    await only_delivery(mesh, webhook["id"], "delivered", 1)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A key and a certificate for `name` that nobody else signed."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(key), "-out", str(cert), "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@pytest.mark.parametrize("name", ["tls.example", "other.example"])
@pytest.mark.settings(webhook_hosts=["tls.example"])
async def test_a_certificate_must_be_of_the_name_not_of_the_address(
    mesh: Mesh, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    key, cert = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, LOOPBACK, 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        names.answers["tls.example"] = [[LOOPBACK]]
        webhook = (await mesh.post("/v1/webhooks", url=f"https://tls.example:{port}/"))["webhook"]
        await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
        if name == "tls.example":
            await only_delivery(mesh, webhook["id"], "delivered", 1)
        else:
            delivery = await only_delivery(mesh, webhook["id"], "waiting", 1)
            assert "CERTIFICATE_VERIFY_FAILED" in delivery["last_error"]
            assert receiver.got == []
