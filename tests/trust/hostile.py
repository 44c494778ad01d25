"""A corpus of hostile repositories: each entry is a function that builds one in a fresh clone.

The attacker commits what he likes, and knows where the data folder is; he writes nothing outside of the
repository. `Scene` is what he sees: where his server listens, and a file of the victim's that he is after.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cli.running import git
from connect.hooking import hold
from repomesh.kernel import data_folder, trust
from repomesh.store import folder

SECRET = "AKIA-the-victims-secret"


@dataclass(frozen=True)
class Scene:
    """A clone at `root`, in which the victim works, and the attacker's server at `url`."""

    root: Path
    url: str
    secret: Path
    """A file of the victim's, outside of the repository."""
    victim: Path
    """Another one, which is to be overwritten."""
    held: list[IO[bytes]] = field(default_factory=list)
    """The locks of servers that run."""

    @property
    def data(self) -> Path:
        return self.root / data_folder.DATA

    def note(self) -> str:
        """What a running server would say, but the attacker's."""
        return json.dumps({"pid": os.getpid(), "url": self.url, "version": "0"})

    def bait(self) -> None:
        """A whole data folder as an attacker wants it, as git checks it out."""
        for path, text in {
            "server.json": self.note(),
            "token": "rpm_attackers\n",
            "connect/claude.json": json.dumps({"cli": "claude", "agent": "mallory"}),
        }.items():
            file = self.data / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def private(self) -> None:
        """The same with modes that pass, as a umask of 077 gives them."""
        for place, _, files in os.walk(self.data):
            Path(place).chmod(0o700)
            for name in files:
                if not (Path(place) / name).is_symlink() and (Path(place) / name).is_file():
                    (Path(place) / name).chmod(0o600)

    def commit(self) -> None:
        git(self.root, "add", "-f", ".")
        git(self.root, "commit", "-qm", "Add a tool")

    def trusted(self) -> Path:
        """A data folder that the victim made here, and connected; answers its record."""
        folder.prepare(self.data)
        folder.write_secret(self.data / data_folder.TOKEN, "rpm_victims")
        record = trust.record_of(self.data)
        assert record is not None
        (record / data_folder.CONNECT).mkdir()
        (record / data_folder.CONNECT / "claude.json").write_text('{"cli": "claude"}')
        return record

    def served(self) -> None:
        """Have the trusted folder say that its server runs, and answers at `url`.

        This process holds the folder's lock: who trusts the folder speaks to that server.
        """
        folder.write_server(self.data, os.getpid(), self.url, "0")
        self.held.append(hold(self.data))

    def end(self) -> None:
        """Let go of what is held."""
        for file in self.held:
            file.close()


def committed_token_link(scene: Scene) -> None:
    scene.bait()
    (scene.data / "token").unlink()
    (scene.data / "token").symlink_to(scene.secret)
    scene.private()
    scene.commit()


def committed_folder(scene: Scene) -> None:
    scene.bait()
    scene.commit()


def folder_with_private_modes(scene: Scene) -> None:
    scene.bait()
    scene.private()


def folder_with_an_id(scene: Scene) -> None:
    scene.bait()
    (scene.data / trust.ID).write_text("0" * 32 + "\n")
    scene.private()


def id_that_leads_elsewhere(scene: Scene) -> None:
    """An id that is a path: the record would be one that the attacker committed."""
    scene.bait()
    (scene.data / trust.ID).write_text(f"../../../../..{scene.data}/forged\n")
    forged = {"path": str(scene.data), "machine": trust.machine(), "suspect": None}
    (scene.data / "forged").mkdir()
    (scene.data / "forged" / trust.RECORD).write_text(json.dumps(forged))
    scene.private()


def folder_as_a_link(scene: Scene) -> None:
    scene.bait()
    scene.private()
    scene.data.rename(scene.root / "assets")
    scene.data.symlink_to("assets")
    scene.commit()


def links_for_what_is_written(scene: Scene) -> None:
    scene.bait()
    for name in ("lock", "daemon.lock", "daemon.log", "server.log", "hooks.log", ".gitignore"):
        (scene.data / name).symlink_to(scene.victim)
    scene.private()
    scene.commit()


def pipes_everywhere(scene: Scene) -> None:
    scene.data.mkdir(mode=0o700)
    for name in (
        "id",
        "token",
        "server.json",
        "lock",
        "daemon.lock",
        "daemon.log",
        "server.log",
        "hooks.log",
    ):
        os.mkfifo(scene.data / name, 0o600)


def pipe_as_the_folder(scene: Scene) -> None:
    os.mkfifo(scene.data, 0o600)


def committed_database(scene: Scene) -> None:
    scene.bait()
    (scene.data / "repomesh.db").write_bytes(b"SQLite format 3\x00")
    scene.private()
    scene.commit()


def removed_but_still_tracked(scene: Scene) -> None:
    scene.bait()
    scene.commit()
    shutil.rmtree(scene.data)


def tracked_in_another_case(scene: Scene) -> None:
    """On a file system that knows no case `.RepoMesh` is the data folder."""
    shouted = scene.root / ".RepoMesh"
    shouted.mkdir()
    (shouted / "token").write_text("rpm_attackers\n")
    scene.commit()


def overwritten_by_a_later_commit(scene: Scene) -> None:
    """git checks a tracked file out over an ignored one without a word."""
    scene.trusted()
    scene.bait()
    scene.private()
    scene.commit()


def link_put_into_a_trusted_folder(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    (scene.data / "token").unlink()
    (scene.data / "token").symlink_to(scene.secret)


def log_link_put_into_a_trusted_folder(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    for name in ("hooks.log", "daemon.lock", "server.log"):
        (scene.data / name).symlink_to(scene.victim)


def pipe_put_into_a_trusted_folder(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    (scene.data / "token").unlink()
    os.mkfifo(scene.data / "token", 0o600)


def copied_repository(scene: Scene) -> None:
    """The other one's server is the attacker's here: nothing may reach it from the copy."""
    other = Scene(scene.root.parent / "other", scene.url, scene.secret, scene.victim)
    shutil.copytree(scene.root, other.root)
    other.trusted()
    other.served()
    shutil.rmtree(scene.root)
    shutil.copytree(other.root, scene.root)
    scene.held.extend((*other.held, hold(scene.data)))


def moved_repository(scene: Scene) -> None:
    before = Scene(scene.root.parent / "before", scene.url, scene.secret, scene.victim)
    shutil.copytree(scene.root, before.root)
    before.trusted()
    before.served()
    shutil.rmtree(scene.root)
    before.root.rename(scene.root)
    scene.held.extend(before.held)


def folder_of_another_machine(scene: Scene) -> None:
    record = scene.trusted()
    scene.served()
    about = json.loads((record / trust.RECORD).read_text())
    (record / trust.RECORD).write_text(json.dumps(about | {"machine": "another"}))


def folder_that_others_may_enter(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    scene.data.chmod(0o755)


def token_that_others_may_read(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    (scene.data / "token").chmod(0o644)


def folder_of_another_user(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    os.chown(scene.data, 12_345, 12_345)


def file_of_another_user(scene: Scene) -> None:
    scene.trusted()
    scene.served()
    os.chown(scene.data / "token", 12_345, 12_345)


def harmless(scene: Scene) -> None:
    """What the others are compared with: everybody speaks to the server that is named here."""
    scene.trusted()
    scene.served()


HOSTILE: tuple[Callable[[Scene], None], ...] = (
    committed_token_link,
    committed_folder,
    folder_with_private_modes,
    folder_with_an_id,
    id_that_leads_elsewhere,
    folder_as_a_link,
    links_for_what_is_written,
    pipes_everywhere,
    pipe_as_the_folder,
    committed_database,
    removed_but_still_tracked,
    tracked_in_another_case,
    overwritten_by_a_later_commit,
    link_put_into_a_trusted_folder,
    log_link_put_into_a_trusted_folder,
    pipe_put_into_a_trusted_folder,
    copied_repository,
    moved_repository,
    folder_of_another_machine,
    folder_that_others_may_enter,
    token_that_others_may_read,
    folder_of_another_user,
    file_of_another_user,
)

ROOT_ONLY = frozenset({folder_of_another_user, file_of_another_user})
"""Built with chown, which only the superuser may."""
NO_FOLDER = frozenset({removed_but_still_tracked, tracked_in_another_case})
"""Without a data folder: there is nothing to read, and none may be made."""
