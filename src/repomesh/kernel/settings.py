"""Settings: everything an operator may change, read from `REPOMESH_…` and the command line."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from repomesh.kernel.file_names import is_utf8

BusName = Literal["local"]

_WEBHOOK_KEY_BYTES_MIN = 24  # as Standard Webhooks asks for


class TopicWeights(BaseModel):
    """The weight of each figure when topics are ranked; only their ratio matters."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    frequency: float = Field(1.0, ge=0, description="How much was said.")
    conflict: float = Field(4.0, ge=0, description="Contradiction, repeated conflicts and failures.")
    recency: float = Field(1.0, ge=0, description="How lately.")
    people: float = Field(1.0, ge=0, description="How many are involved.")
    delay: float = Field(2.0, ge=0, description="What waits for it, and for how long.")

    @model_validator(mode="after")
    def _counts_something(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("at least one weight must be above 0")
        return self


class Settings(BaseSettings):
    """One server's settings. Each field is also the environment variable `REPOMESH_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="REPOMESH_", extra="ignore", frozen=True)

    data: Path = Field(Path(".repomesh"), description="Folder of the database, the token and the log.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on; other hosts can reach any address but loopback."
    )
    port: int = Field(8787, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    database_url: str | None = Field(
        None, description="`postgresql://…` for a team; without it SQLite in the data folder."
    )
    bus: BusName = Field(
        "local",
        description="What wakes streams after a commit: `local` does so in this process; other servers "
        "on the same database notice the commit when they poll.",
    )
    workspace: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the repository's workspace, on first start; without it the folder's name.",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further Host names to answer to, as a JSON list."
    )
    allowed_origins: list[str] = Field(
        default_factory=list, description="Further browser origins to admit, as a JSON list."
    )
    agent_inactive_after_s: float = Field(
        90.0, gt=0, description="Seconds without a heartbeat after which an agent is inactive."
    )
    lease_ttl_s: float = Field(900.0, ge=1, le=86_400, description="Lease length when a request names none.")
    max_hold_s: float = Field(
        14_400.0, ge=1, description="Seconds after which heartbeats no longer renew a lease."
    )
    sweep_every_s: float = Field(
        1.0, gt=0, description="Longest time in seconds between checks for due work."
    )
    messages_per_minute: int = Field(
        600, ge=1, description="Messages and events that one agent may send a minute, in bursts of as many."
    )
    ack_timeout_s: float = Field(
        3_600.0, gt=0, description="Seconds after which an unacknowledged ack_required message is reported."
    )
    guard: Literal["deny", "warn", "off"] = Field(
        "deny", description="How hooks react to an edit of a file that another agent has locked."
    )
    auto_lock: bool = Field(False, description="Whether hooks lock each file for the agent that edits it.")
    auto_lock_ttl_s: float = Field(
        120.0, ge=1, le=86_400, description="Seconds that such a lock lasts; each edit renews it."
    )
    leases_at_leave: Literal["release", "keep"] = Field(
        "release", description="When the leases of an agent that leaves end: at once, or on expiry."
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?/?$",
        description="Address of a tunnel in front; its Host is admitted for webhooks and their schema alone.",
    )
    webhook_secret: SecretStr | None = Field(
        None, description="`whsec_…`: the secret that verifies signed webhooks (Standard Webhooks)."
    )
    webhook_agent: str = Field(
        "webhook", description="The registered agent of the home workspace that signed webhooks act as."
    )
    webhooks_per_minute: int = Field(
        600, ge=1, description="Webhooks that one key may send a minute, in bursts of as many."
    )
    webhook_hosts: list[str] = Field(
        default_factory=list,
        description="Hosts (`NAME` or `NAME:PORT`) that outgoing webhooks may reach at private addresses, "
        "as a JSON list.",
    )
    topic_weights: TopicWeights = Field(
        default_factory=TopicWeights,
        description="How much each figure counts where topics for meetings are put in order, as JSON.",
    )
    completions_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        description="OpenAI-compatible endpoint, as `https://HOST/v1`, that writes summaries and "
        "meetings' proposals.",
    )
    completions_model: str | None = Field(
        None, min_length=1, max_length=200, description="Name of the model; required with `completions_url`."
    )
    completions_key: SecretStr | None = Field(
        None, description="Key sent to `completions_url` as a bearer token."
    )
    embeddings_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        description="OpenAI-compatible endpoint, as `https://HOST/v1`, by which recall finds what means the "
        "same in other words; needs the extra `embeddings`.",
    )
    embeddings_model: str | None = Field(
        None, min_length=1, max_length=200, description="Name of the model; required with `embeddings_url`."
    )
    embeddings_key: SecretStr | None = Field(
        None, description="Key sent to `embeddings_url` as a bearer token."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    otlp_endpoint: str | None = Field(
        None, description="OpenTelemetry collector (OTLP over HTTP); nothing is exported without it."
    )

    @field_validator("data")
    @classmethod
    def _is_utf8(cls, data: Path) -> Path:
        if not is_utf8(data.absolute()):
            raise ValueError("its path is no UTF-8; rename that folder, or set REPOMESH_DATA to another one")
        return data

    @field_validator("webhook_secret")
    @classmethod
    def _is_webhook_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value()
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if secret is not None and (not text.startswith("whsec_") or len(key) < _WEBHOOK_KEY_BYTES_MIN):
            raise ValueError(f"must be 'whsec_' and base64 of {_WEBHOOK_KEY_BYTES_MIN} bytes or more")
        return secret

    @model_validator(mode="after")
    def _has_model(self) -> Settings:
        if self.completions_url is not None and self.completions_model is None:
            raise ValueError("REPOMESH_COMPLETIONS_URL needs REPOMESH_COMPLETIONS_MODEL, too")
        if self.embeddings_url is not None and self.embeddings_model is None:
            raise ValueError("REPOMESH_EMBEDDINGS_URL needs REPOMESH_EMBEDDINGS_MODEL, too")
        return self
