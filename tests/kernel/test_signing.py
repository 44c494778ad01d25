"""When a signed webhook counts: its time is about now, on either side."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest

from repomesh.kernel import signing
from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.limits import WEBHOOK_AGE_S_MAX

NOW_S = 1_800_000_000


@pytest.mark.parametrize("direction", [-1, 1])
@pytest.mark.parametrize("beyond_s", [0, 1])
def test_a_delivery_from_the_past_or_the_future_counts_up_to_the_same_age(
    direction: int, beyond_s: int
) -> None:
    secret, body = signing.new_key(), b"{}"
    stamp = NOW_S + direction * (WEBHOOK_AGE_S_MAX + beyond_s)
    refused = pytest.raises(Unauthenticated, match="too far from the server's time")
    outcome: AbstractContextManager[object] = refused if beyond_s else nullcontext()
    with outcome:
        headers = signing.SignedHeaders("msg", str(stamp), signing.sign(secret, "msg", stamp, body), NOW_S)
        headers.verify(secret, body)
