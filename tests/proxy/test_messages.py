"""Lines of the proxy's client, as they come in pieces."""

from __future__ import annotations

import random

from repomesh.proxy.messages import LineBuffer


def test_lines_are_put_together_however_they_were_cut() -> None:
    chance = random.Random(5)
    for _ in range(200):
        stream = b"".join(chance.choice([b"a", b"bc", b"\n", b"\r\n", b"\n\n"]) for _ in range(30))
        lines, buffer, position = list[bytes](), LineBuffer(), 0
        while position < len(stream):
            end = position + chance.randint(1, 5)
            lines += buffer.take(stream[position:end])
            position = end
        assert [*lines, buffer.rest()] == stream.split(b"\n")


def test_of_a_line_without_an_end_only_a_beginning_is_kept() -> None:
    buffer = LineBuffer(10)
    for _ in range(1_000):
        assert buffer.take(b"12345") == []
    assert len(buffer.rest()) <= 15
    [line, short] = buffer.take(b"6\nabc\n")
    assert len(line) > 10
    assert short == b"abc"
