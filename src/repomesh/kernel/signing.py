"""Signatures of webhooks after Standard Webhooks 1.0.0, symmetric.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets

from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.limits import WEBHOOK_AGE_S_MAX

PREFIX = "whsec_"
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")  # base64 of SHA-256's 32 bytes
_KEY_BYTES = 32  # of a key made here; the standard asks for 24 to 64


def new_key() -> str:
    """A new secret to sign with."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a delivery, as it stands in the header; raises ValueError for a malformed secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_decode_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class SignedHeaders:
    """The headers of a signed delivery, which are checked before its body is there."""

    def __init__(self, message_id: str, timestamp: str | None, signatures: str, now_s: float) -> None:
        """Raises Unauthenticated unless one has the form of a signature and the time is about now."""
        if timestamp is None or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
            raise Unauthenticated("webhook-timestamp: must be seconds since 1970", hint=_HINT)
        if abs(now_s - int(timestamp)) > WEBHOOK_AGE_S_MAX:
            raise Unauthenticated("webhook-timestamp: too far from the server's time", hint=_HINT)
        self._message_id = message_id
        self._timestamp = int(timestamp)
        self._signatures = [signature for signature in signatures.split() if _SIGNATURE.fullmatch(signature)]
        if not self._signatures:
            raise _foreign_signature()

    def verify(self, secret: str, body: bytes) -> None:
        """Raise Unauthenticated unless one of the signatures is of this secret and body."""
        expected = sign(secret, self._message_id, self._timestamp, body)
        if not any(hmac.compare_digest(expected, signature) for signature in self._signatures):
            raise _foreign_signature()


def _foreign_signature() -> Unauthenticated:
    return Unauthenticated("webhook-signature: none is of this server's secret", hint=_HINT)


_HINT = "Sign 'ID.TIMESTAMP.BODY' with the secret in REPOMESH_WEBHOOK_SECRET, and send it at once."


def _decode_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret is 'whsec_' and base64 behind it") from None
