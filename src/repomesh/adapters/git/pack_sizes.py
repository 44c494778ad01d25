"""Measures what a pack unpacks to before git unpacks it: some kilobytes may be a gigabyte.

git's own limit, `--max-input-size`, is one on what comes in. The format is that of `gitformat-pack`
(https://git-scm.com/docs/gitformat-pack): each object has its size before its compressed content, and a delta
begins with the size of its result. git refuses a pack in which one of them is wrong.
"""

from __future__ import annotations

import zlib

from repomesh.adapters.git.modes import READ_WHOLE_TYPES
from repomesh.kernel import limits

_HEADER_BYTES = 12  # 'PACK', the version, the number of objects
_OFFSET_DELTA, _REF_DELTA = 6, 7
_DELTAS = (_OFFSET_DELTA, _REF_DELTA)
_REF_BYTES = 20
_CHUNK = 16_384
_SIZES_BYTES = 20  # at the beginning of a delta: two numbers of at most 10 bytes


class PackRefused(Exception):
    """A pack is damaged, or unpacks to more than is allowed."""


def require_small(pack: memoryview, bytes_max: int, objects_max: int) -> None:
    """Raise PackRefused for a pack of more objects, or whose objects have more bytes together.

    Takes about a second for 200 MB, and no more memory than a delta has.
    """
    count = int.from_bytes(pack[8:_HEADER_BYTES], "big")
    if bytes(pack[:4]) != b"PACK" or len(pack) < _HEADER_BYTES:
        raise PackRefused("it has no pack")
    if count > objects_max:
        raise PackRefused(f"it has {count} objects; {objects_max} are allowed")
    left, position = bytes_max, _HEADER_BYTES
    try:
        for _ in range(count):
            kind, size, position = _entry(pack, position)
            if kind in READ_WHOLE_TYPES and size > limits.COMMIT_BYTES_MAX:
                raise PackRefused(f"a commit in it has {size} bytes; {limits.COMMIT_BYTES_MAX} are allowed")
            if kind not in _DELTAS:
                _require_small_object(size)
            if size > left:
                raise PackRefused(f"it unpacks to more than {bytes_max} bytes")
            beginning, position = _skip_content(pack, position, size)
            if kind in _DELTAS:
                _base_size, after = _number(beginning, 0)
                size, _ = _number(beginning, after)
                _require_small_object(size)
            left -= size
            if left < 0:
                raise PackRefused(f"it unpacks to more than {bytes_max} bytes")
    except (IndexError, zlib.error) as error:
        raise PackRefused(f"its pack is damaged: {error}") from None


def _require_small_object(size: int) -> None:
    """Raise PackRefused for an object that no file of a change may be, before its content is unpacked."""
    if size > limits.CHANGE_BLOB_BYTES_MAX:
        message = f"a file in it has {size} bytes; a file in a change has at most"
        raise PackRefused(f"{message} {limits.CHANGE_BLOB_BYTES_MAX}")


def _entry(pack: memoryview, position: int) -> tuple[int, int, int]:
    """The type of the object at a position, the size of its content, and where that begins."""
    byte = pack[position]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    position += 1
    while byte & 128:
        byte = pack[position]
        size |= (byte & 127) << shift
        shift += 7
        position += 1
    if kind == _REF_DELTA:
        position += _REF_BYTES
    elif kind == _OFFSET_DELTA:
        while pack[position] & 128:
            position += 1
        position += 1
    return kind, size, position


def _skip_content(pack: memoryview, position: int, size: int) -> tuple[bytes, int]:
    """The beginning of a compressed content of `size` bytes, and where the next object begins."""
    stream = zlib.decompressobj()
    beginning, length = b"", 0
    while not stream.eof:
        chunk = bytes(pack[position : position + _CHUNK])
        if not chunk:
            raise PackRefused("its pack ends too early")
        position += len(chunk)
        while chunk and not stream.eof:
            content = stream.decompress(chunk, _CHUNK)
            beginning = beginning or content[:_SIZES_BYTES]
            length += len(content)
            if length > size:
                raise PackRefused("an object of its pack is larger than it says")
            chunk = stream.unconsumed_tail
    return beginning, position - len(stream.unused_data)


def _number(content: bytes, position: int) -> tuple[int, int]:
    """The number at a position of a delta, and where the next one begins."""
    number = shift = 0
    while True:
        byte = content[position]
        position += 1
        number |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return number, position
