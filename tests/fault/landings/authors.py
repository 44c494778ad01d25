"""Scripted authors: they commit, submit, and do again what comes back, with nobody's help."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fault.landings.edits import BROKEN, Add, Edit, Impossible, apply_all
from fault.landings.plans import Work
from fault.landings.trees import Draft
from fault.landings.workshop import Workshop

OPEN_MAX = 12  # changes of one author that are under way at once
REFRESH_EVERY = 6  # submissions, on average, after which an author begins from the newest target
PATIENCE_S = 120.0  # for one answer, however often servers are killed
LOOK_S = 0.05
_ENDED = frozenset({"landed", "returned", "quarantined"})


class GaveUp(Exception):
    """A server did not answer, or answered something that no author can do anything about."""


class Line:
    """Calls of servers over HTTP. Each is repeated under its key until a server answers it."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self._urls = list(urls)
        self._token = token
        self.repeated = 0

    def post(self, path: str, key: str | None = None, **body: Any) -> Any:
        """The answer to a POST. Raises GaveUp."""
        return self._call("POST", path, key, json.dumps(body).encode())

    def get(self, path: str) -> Any:
        """The answer to a GET. Raises GaveUp."""
        return self._call("GET", path, None, None)

    def _call(self, method: str, path: str, key: str | None, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key is not None else {}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            request = urllib.request.Request(self._urls[0] + path, body, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                problem = error.read().decode("utf-8", "replace")
                if error.code < 500 and error.code != 429:
                    raise GaveUp(f"{method} {path}: {error.code} {problem}") from None
            except (OSError, HTTPException):  # killed before, or within, its answer
                problem = "no answer"
            if time.monotonic() > deadline:
                raise GaveUp(f"{method} {path}: {problem}")
            self.repeated += 1
            self._urls.append(self._urls.pop(0))
            time.sleep(0.1)


@dataclass(frozen=True)
class Submission:
    """What was acknowledged: a change, the edits that it makes, and the commit that holds them."""

    id: str
    work: Work
    edits: tuple[Edit, ...]
    attempt: int
    head: str


@dataclass
class News:
    """The last that the log said of each change, by id, and how far it was read."""

    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    position: int = 0

    def read(self, line: Line) -> None:
        """Read the log to its end."""
        while True:
            page = line.get(f"/v1/events?type=change&limit=200&after={self.position}")
            for event in page["items"]:
                change = event["data"]["change"]
                known = self.changes.get(change["id"])
                if known is None or known["version"] < change["version"]:
                    self.changes[change["id"]] = change
                self.position = event["seq"]
            if page["next_cursor"] is None:
                return


class Author(threading.Thread):
    """An agent that makes its changes one after another, `OPEN_MAX` of them under way at once."""

    def __init__(self, name: str, works: Sequence[Work], repository: Path, line: Line, news: News) -> None:
        super().__init__(name=name, daemon=True)
        self._works = list(works)
        self._workshop = Workshop(repository)
        self._line = line
        self._news = news
        self._chance = random.Random(name)
        self._base = self._workshop.tip()
        self._open: dict[str, Submission] = {}
        self._heads: dict[int, str] = {}
        self.submissions: list[Submission] = []
        self.returns: list[tuple[str, str]] = []
        """The error class and reason of each change that came back."""
        self.helped: set[int] = set()
        """The works that came back so often that a person had to be asked."""
        self.failure: BaseException | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            while (self._works or self._open) and not self.stopped.is_set():
                while self._works and len(self._open) < OPEN_MAX:
                    self._begin(self._works.pop(0))
                self._look()
                time.sleep(LOOK_S)
        except BaseException as error:
            self.failure = error
        finally:
            self._workshop.close()

    def _begin(self, work: Work) -> None:
        """Make a change for the first time, on the target as this author knows it."""
        if self._chance.random() < 1 / REFRESH_EVERY:
            self._base = self._workshop.tip()
        base = self._base if work.builds_on is None else self._heads[work.builds_on]
        self._submit(work, self._possible(work, work.edits, base), base, 1, None)

    def _look(self) -> None:
        """See what became of what is under way, and do again what came back."""
        for submission in list(self._open.values()):
            change = self._news.changes.get(submission.id)
            if change is None or change["state"] not in _ENDED:
                continue
            del self._open[submission.id]
            if change["state"] != "landed":
                self.returns.append((change["error_class"], change["reason"]))
                if change["state"] == "quarantined":
                    self.helped.add(submission.work.number)
                self._repair(submission, change)

    def _repair(self, submission: Submission, change: dict[str, Any]) -> None:
        """Do the edits again on the newest target, and submit that in place of what came back."""
        if change["error_class"] not in ("conflict", "check"):
            raise GaveUp(f"{submission.work} came back: {change['error_class']}: {change['reason']}")
        tip = self._workshop.tip()
        mended = tuple(
            replace(edit, content=edit.content.replace(BROKEN, "mended")) if isinstance(edit, Add) else edit
            for edit in submission.edits
        )
        edits = self._possible(submission.work, mended, tip)
        self._submit(submission.work, edits, tip, submission.attempt + 1, submission.id)

    def _possible(self, work: Work, edits: tuple[Edit, ...], base: str) -> tuple[Edit, ...]:
        """The edits, if they are possible on `base`; else the author's work in a file of its own."""
        try:
            apply_all(edits, Draft(lambda path: self._workshop.read(base, path)))
        except Impossible as error:
            return (Add(f"rescued/{work.number}.txt", f"{error}\n"),)
        return edits

    def _submit(
        self, work: Work, edits: tuple[Edit, ...], base: str, attempt: int, replaces: str | None
    ) -> None:
        draft = Draft(lambda path: self._workshop.read(base, path))
        apply_all(edits, draft)
        branch = f"{work.name}.{attempt}"
        head = self._workshop.commit(branch, base, draft.changed, self.name, f"Work {work.number}")
        fields: dict[str, Any] = {"branch": {"branch": branch}, "commit": {"commit": head}}.get(
            work.source, {}
        )
        if work.source == "patch":
            text = self._workshop.git("diff", "--full-index", base, head)
            fields = {"patch": {"format": "unified", "base_commit": base, "text": text}}
        if replaces is not None:
            fields["replaces"] = replaces
        made = self._line.post(
            "/v1/changes", f"{work.name}.{attempt}", summary=f"Work {work.number}", **fields
        )
        submission = Submission(made["id"], work, edits, attempt, made["head_commit"])
        if work.source != "patch":
            assert made["head_commit"] == head, (made, head)
        self.submissions.append(submission)
        self._heads[work.number] = made["head_commit"]
        self._open[made["id"]] = submission
