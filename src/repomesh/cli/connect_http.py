"""Agent tokens of CLIs that use the HTTP endpoint: made at connect, revoked at disconnect, in 0600 files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from httpx import codes

from repomesh.cli import output
from repomesh.cli.with_client import run_with_client
from repomesh.client import discovery
from repomesh.client.errors import RemoteError
from repomesh.connect import records
from repomesh.connect.cli import Cli, Http
from repomesh.connect.files import remove_folders, write_private
from repomesh.kernel import data_folder
from repomesh.kernel.clis import PROGRAMS
from repomesh.kernel.errors import RepomeshError

if TYPE_CHECKING:
    from repomesh.client.client import Client
    from repomesh.connect.planning import ConnectPlan


def token_path(data: Path, cli: Cli) -> Path:
    """Return the file with a CLI's token."""
    return data / "connect" / f"{cli.name}.token"


def _headers_path(data: Path, cli: Cli) -> Path:
    return data / "connect" / f"{cli.name}.headers"


def endpoint(data: Path, cli: Cli, url: str | None) -> Http:
    """Return the endpoint of the server that is found from here; raises ServerNotFound."""
    return Http(discovery.find(url=url).url, token_path(data, cli), _headers_path(data, cli))


def prepare(plan: ConnectPlan, url: str | None) -> None:
    """Create the token for the CLI, unless the server still accepts the present one."""
    marker, path = plan.marker, token_path(plan.data, plan.cli)
    assert marker is not None
    token = data_folder.read_secret(path)
    if marker.token_id and token and run_with_client(lambda client: _is_accepted(client, token), url=url):
        return
    forget(plan, url)
    name, label = marker.agent or PROGRAMS[plan.cli.name], f"connect {plan.cli.name}"
    request = {"role": "agent", "agent": name, "label": label}
    created = run_with_client(lambda client: client.call_json("token.create", request), url=url)
    marker.token_id = created["token_id"]
    write_private(path, created["token"] + "\n")
    headers = {"Authorization": f"Bearer {created['token']}"}
    write_private(_headers_path(plan.data, plan.cli), json.dumps(headers) + "\n")


def forget(plan: ConnectPlan, url: str | None) -> None:
    """Revoke a CLI's token and remove its files; a failed revocation is printed as a note."""
    data, cli = plan.data, plan.cli
    marker = records.read_marker(data, cli.name)
    token_id = marker.token_id if marker is not None else None
    if token_id is not None:
        try:
            run_with_client(lambda client: client.call_json("token.revoke", {"token_id": token_id}), url=url)
        except (RemoteError, RepomeshError) as error:
            output.print_note(
                f"The token of {cli.title} was not revoked ({error}): see 'repomesh token list'."
            )
    token_path(data, cli).unlink(missing_ok=True)
    _headers_path(data, cli).unlink(missing_ok=True)
    remove_folders([str(data / data_folder.CONNECT)])


async def _is_accepted(client: Client, token: str) -> bool:
    answer = await client.http.get("/v1/workspace", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == codes.OK
