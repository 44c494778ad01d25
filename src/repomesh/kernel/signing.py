"""Signatures of webhooks after Standard Webhooks 1.0.0, symmetric.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.limits import WEBHOOK_AGE_S_MAX

PREFIX = "whsec_"
_KEY_BYTES = 32  # of a key made here; the standard asks for 24 to 64


def new_key() -> str:
    """A new secret to sign with."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a delivery, as it stands in the header; raises ValueError for a malformed secret."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def verify(
    secret: str, webhook_id: str, timestamp: str | None, signatures: str, body: bytes, now_s: float
) -> None:
    """Raise Unauthenticated unless one of the signatures is ours and the time is about now."""
    if timestamp is None or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise Unauthenticated("webhook-timestamp: must be seconds since 1970", hint=_HINT)
    if abs(now_s - int(timestamp)) > WEBHOOK_AGE_S_MAX:
        raise Unauthenticated("webhook-timestamp: too far from the server's time", hint=_HINT)
    wanted = sign(secret, webhook_id, int(timestamp), body).encode()
    given = signatures.encode(errors="replace").split()
    if not any(hmac.compare_digest(wanted, one) for one in given):
        raise Unauthenticated("webhook-signature: none is of this server's secret", hint=_HINT)


_HINT = "Sign 'ID.TIMESTAMP.BODY' with the secret in REPOMESH_WEBHOOK_SECRET, and send it at once."


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret is 'whsec_' and base64 behind it") from None
