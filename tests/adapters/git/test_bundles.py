"""Bundles from another machine: what they may hold, and that the rest is refused before it is unpacked."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from repomesh.adapters.git.bundles import BundleUnreadable, import_bundle
from repomesh.adapters.git.pack_sizes import PackRefused, require_small
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits
from repositories import Scratch

REF = "refs/repomesh/changes/1/1"


@pytest.fixture
def author(tmp_path: Path, scratch: Scratch, repository: Repository) -> Scratch:
    """A clone on another machine."""
    made = Scratch(tmp_path / "author")
    made.git("pull", "-q", str(scratch.path), "main")
    return made


def bundle(author: Scratch, *words: str) -> bytes:
    file = author.path.with_name("sent.bundle")
    author.git("bundle", "create", str(file), *words)
    return file.read_bytes()


def test_the_commit_behind_an_annotated_tag_is_taken(repository: Repository, author: Scratch) -> None:
    commit = author.commit({"new.txt": "n\n"})
    author.git("tag", "-a", "-m", "v1", "v1")
    assert import_bundle(repository, bundle(author, "main~1..v1"), REF) == commit
    assert repository.ref(REF) == commit


def test_a_tag_of_no_commit_is_refused(repository: Repository, author: Scratch) -> None:
    author.commit({"new.txt": "n\n"})
    author.git("tag", "-a", "-m", "a file", "file", "HEAD:new.txt")
    with pytest.raises(BundleUnreadable, match="neither a commit nor a tag of one"):
        import_bundle(repository, bundle(author, "file"), REF)
    assert repository.refs_below(REF) == []


def sent(author: Scratch) -> bytes:
    return bundle(author, "main~1..main", "main")


def test_a_bundle_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    repository: Repository, author: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    author.commit({"zeros.bin": "0" * 3_000_000})
    content = sent(author)
    assert len(content) < 10_000
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_UNPACKED_MAX", 2_999_999)
    with pytest.raises(BundleUnreadable, match="unpacks to more than"):
        import_bundle(repository, content, REF)
    assert not repository.has(author.git("rev-parse", "HEAD:zeros.bin"))
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_UNPACKED_MAX", 3_010_000)
    assert import_bundle(repository, content, REF) == author.head()


def test_what_deltas_unpack_to_counts(
    repository: Repository, author: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these files is some bytes of a delta, and a megabyte for who reads it."""
    noise = "".join(f"{number * 7919 % 100_003}\n" for number in range(150_000))
    author.commit({f"{number}.txt": f"{noise}{number}\n" for number in range(5)})
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_UNPACKED_MAX", 3_000_000)
    with pytest.raises(BundleUnreadable, match="unpacks to more than"):
        import_bundle(repository, sent(author), REF)
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_UNPACKED_MAX", 10_000_000)
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_OBJECTS_MAX", 6)
    with pytest.raises(BundleUnreadable, match="7 objects"):
        import_bundle(repository, sent(author), REF)
    monkeypatch.setattr(limits, "CHANGE_BUNDLE_OBJECTS_MAX", 7)
    assert import_bundle(repository, sent(author), REF) == author.head()


def test_an_object_that_lies_about_its_size_is_refused(repository: Repository) -> None:
    pack = b"PACK" + (2).to_bytes(4, "big") + (1).to_bytes(4, "big")
    pack += bytes([0x30 | 5]) + zlib.compress(b"0" * 1_000_000)
    with pytest.raises(PackRefused, match="larger than it says"):
        require_small(memoryview(pack), 10_000_000, 10)
    for broken in (pack[:-5], pack[:11], b"PACK", b""):
        with pytest.raises(PackRefused):
            require_small(memoryview(broken), 10_000_000, 10)


def test_an_object_that_no_change_may_hold_is_not_unpacked(
    repository: Repository, author: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    author.commit({"large.txt": "x" * 10_001})
    content = sent(author)
    monkeypatch.setattr(limits, "CHANGE_BLOB_BYTES_MAX", 10_000)
    with pytest.raises(BundleUnreadable, match="10001 bytes"):
        import_bundle(repository, content, REF)
    monkeypatch.setattr(limits, "CHANGE_BLOB_BYTES_MAX", 10_001)
    monkeypatch.setattr(limits, "COMMIT_BYTES_MAX", 100)
    with pytest.raises(BundleUnreadable, match="a commit in it"):
        import_bundle(repository, content, REF)
    monkeypatch.undo()
    assert import_bundle(repository, content, REF) == author.head()
