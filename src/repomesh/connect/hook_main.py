"""The process that an agent CLI's hook starts: hands the hook's input to the server and prints the answer.

It runs as `PYTHON -I -S hook_main.py CLI EVENT`, often and in front of a waiting model: one file, which
imports nothing that costs time (not even `json` and the whole of `socket`, but their halves in C) and knows
nothing of any CLI's format. Whatever goes wrong, it ends with 0, prints nothing and leaves a line in
`hooks.log` of the data folder.
"""

from __future__ import annotations

import _json
import _socket
import _thread
import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

# These stand in kernel/limits.py, too, with their reasons; to import it would cost more than the request.
HOOK_DEADLINE_S = 0.45
HOOK_ANSWER_S = 0.4
HOOK_OUTPUT_BYTES_MAX = 4_096
HOOK_INPUT_BYTES_MAX = 16 * 1024 * 1024
HOOK_SENT_BYTES_MAX = 1024 * 1024
HOOK_TEXT_CHARS_MAX = 16_000
HOOK_LOG_BYTES_MAX = 256 * 1024
HOOK_PROCESSES_MAX = 16
FOLDER_ID_CHARS = 32
FOLDER_ENTRIES_MAX = 1_000
GIT_FILE_BYTES_MAX = 4_200
PROCESS_MACHINE_CHARS_MAX = 28
NAME_CHARS_MAX = 64

_RESULTS = frozenset(
    {"tool_response", "toolResult", "tool_result", "tool_output", "prompt_response", "last_assistant_message"}
)
"""What a tool or a model answered: long, and of no use to the server."""
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh", "fish"})
_MARKS = {ord(mark): None for mark in "._-"}
"""What an agent's name may hold besides letters and digits."""
_HEADER_BYTES_MAX = 16 * 1024
_UNREADABLE = (ValueError, StopIteration, RecursionError, SystemError)
"""What the scanner of `json` raises; the last when it misses an exception of `json.decoder`."""


class HookGaveUp(Exception):
    """The reason why there is nothing to print."""


def main() -> NoReturn:
    """Run the hook that `sys.argv` names. Ends the process with 0 within HOOK_DEADLINE_S of its start."""
    begun = time.monotonic()
    log = Log()
    _thread.start_new_thread(_end_in_time, (begun, log))
    answer = b""
    try:
        answer = run(sys.argv[1:], log, begun + HOOK_ANSWER_S)
    except HookGaveUp as reason:
        log.write(str(reason))
    except BaseException as error:  # a hook must never stop the CLI that called it
        log.write(f"{type(error).__name__}: {error}")
    _end(answer)


def run(words: list[str], log: Log, deadline: float) -> bytes:
    """What to print for the hook `words` (CLI, EVENT); raises HookGaveUp or whatever else goes wrong."""
    if len(words) != 2 or not all(word.replace("-", "").isalnum() and word.isascii() for word in words):
        raise HookGaveUp("called with other words than CLI EVENT")
    cli, event = words
    log.label = f"{cli} {event}"
    body = read_input()  # to its end in any case: who writes it may not expect a closed pipe
    folder = trusted(data_folder(cli))
    marker = read_json(f"{folder.record}/connect/{cli}.json") if folder else None
    if folder is None or marker is None:
        return b""
    log.folder = folder
    if len(body) > HOOK_INPUT_BYTES_MAX:
        raise HookGaveUp(f"the input is longer than {HOOK_INPUT_BYTES_MAX} bytes")
    keep_wake(folder, cli, event, body)
    answer = ask(folder, marker, f"/v1/hooks/{cli}/{event}", shortened(body), deadline, log)
    if event.lower() == "sessionstart":
        revive_daemon(folder)
    return answer


# -- where things lie ------------------------------------------------------------------------------


def data_folder(cli: str) -> str | None:
    """The data folder of the repository around the hook's session; None outside of any.

    It is what `repomesh.kernel.data_folder.data_folder` answers, without asking git.
    """
    named = os.environ.get("REPOMESH_DATA")
    if named:
        return os.path.abspath(named)
    start = (
        os.environ.get(f"{cli.upper()}_PROJECT_DIR") or os.getcwd()
    )  # the CLI says where its session began
    unversioned = None
    for folder in _upwards(start):
        git = f"{folder}/.git"
        if _holds_git(git):
            root = _main_work_tree(folder, git)
            return f"{root}/.repomesh" if root is not None else None
        candidate = f"{folder}/.repomesh"
        if unversioned is None and _own(candidate):
            unversioned = candidate
        if os.path.isfile(f"{folder}/HEAD") and os.path.isdir(f"{folder}/objects"):
            return candidate  # a bare repository
    return unversioned


def _upwards(start: str) -> Iterator[str]:
    folder = os.path.realpath(start)
    while True:
        yield folder.rstrip("/")
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def _holds_git(git: str) -> bool:
    """Whether it is what git takes for its own: a file, or a folder with a HEAD."""
    return os.path.isfile(git) or os.path.lexists(f"{git}/HEAD")


def _main_work_tree(folder: str, git: str) -> str | None:
    """Where the repository's main work tree is; `folder` may be a linked one, or a submodule.

    None when `.git` leads to a repository that does not lead back, as `repomesh.kernel.work_trees` says.
    """
    is_folder = os.path.isdir(git)
    own = os.path.realpath(git if is_folder else _joined(folder, _line(git).partition("gitdir:")[2].strip()))
    if not os.path.lexists(f"{own}/commondir"):
        return folder  # a repository of its own: a submodule keeps its git folder elsewhere
    common = os.path.realpath(_joined(own, _line(f"{own}/commondir").strip()))
    back, name = os.path.split(_joined(own, _line(f"{own}/gitdir").strip()))
    if is_folder or os.path.islink(git) or os.path.dirname(own) != f"{common}/worktrees":
        return None
    if os.path.realpath(back) != folder or name != ".git":
        return None
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _line(path: str) -> str:
    """The first line of a regular file, and nothing of any other, or of none."""
    try:
        return _text(path)[:GIT_FILE_BYTES_MAX].partition("\n")[0]
    except OSError:
        return ""


def _joined(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _own(folder: str) -> bool:
    try:
        about = os.lstat(folder)
    except OSError:
        return False
    has = os.path.lexists(f"{folder}/id") or os.path.lexists(f"{folder}/token")
    return has and stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def _open(path: str, flags: int, *, within: int | None = None, links: bool = False) -> int:
    """A descriptor of a regular file of this user; raises OSError, and never waits for a pipe.

    With `links` a link is followed and the file may be anybody's: for what is not in the data folder.
    """
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, 0o600, dir_fd=within)
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and (links or about.st_uid == os.geteuid()):
        return descriptor
    os.close(descriptor)
    raise OSError(f"{path} is no regular file of this user")


def _text(path: str) -> str:
    with open(_open(path, os.O_RDONLY, links=True), encoding="utf-8", errors="surrogateescape") as file:
        return file.read(65_536)


# -- whether it is trusted -------------------------------------------------------------------------


class TrustedFolder:
    """A data folder that this user made on this machine: its path, a descriptor of it, and its record."""

    def __init__(self, path: str, descriptor: int, record: str) -> None:
        self.path = path
        self.descriptor = descriptor
        self.record = record


def trusted(path: str | None) -> TrustedFolder | None:
    """The data folder at `path`; None for one that was not made here, or in which others may have written.

    The rules are those of `repomesh.kernel.trust.record_of`. Nothing that git could bring is believed: where
    the server answers and which CLIs are connected stand in the record.
    """
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        record = _record(descriptor) if _is_private(descriptor) else None
    except (OSError, *_UNREADABLE):
        return None
    return TrustedFolder(path, descriptor, record) if record is not None else None


def _is_private(descriptor: int) -> bool:
    """Whether nobody else may enter the folder or read its token, and it holds files and folders alone."""
    user = os.geteuid()
    about = os.fstat(descriptor)
    if about.st_uid != user or about.st_mode & 0o077:
        return False
    with os.scandir(descriptor) as entries:
        for count, entry in enumerate(entries):
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # a draft that has its name by now, or one that was removed
                continue
            regular = stat.S_ISREG(about.st_mode)
            if count >= FOLDER_ENTRIES_MAX or about.st_uid != user:
                return False
            if not (regular or stat.S_ISDIR(about.st_mode)):
                return False
            if entry.name in ("id", "token") and about.st_mode & 0o077:
                return False
    return True


def _record(descriptor: int) -> str | None:
    """The folder of the record, if it says that the data folder was made where it is, on this machine."""
    with open(_open("id", os.O_RDONLY, within=descriptor), encoding="utf-8") as file:
        name = file.read(100).strip()
    if len(name) != FOLDER_ID_CHARS or not set(name) <= set("0123456789abcdef"):
        return None
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        state = f"{home}/.local/state"
    folder = f"{state}/repomesh/folders/{name}"
    about = read_json(f"{folder}/record.json") or {}
    if about.get("suspect") or about.get("machine") != _machine_id():
        return None
    there = os.lstat(str(about.get("path")))
    return folder if os.path.samestat(there, os.fstat(descriptor)) else None


def _machine_id() -> str:
    try:
        return _text("/etc/machine-id")[:64].strip() or os.uname().nodename
    except OSError:
        return os.uname().nodename


# -- JSON ------------------------------------------------------------------------------------------


class _Scanning:
    """What the scanner of `json` asks of who uses it."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def parsed(text: str) -> Any:
    """The JSON value at the beginning of `text`; raises one of _UNREADABLE."""
    try:
        scan = _json.make_scanner(_Scanning)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        import json

        return json.loads(text)
    text = text.lstrip(" \t\r\n\ufeff")
    return scan(text, 0)[0]


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a file of the record; None when there is none, and an empty one when it can't be read."""
    try:
        with open(_open(path, os.O_RDONLY), encoding="utf-8") as file:
            value = parsed(file.read(HOOK_SENT_BYTES_MAX))
    except FileNotFoundError:
        return None
    except (OSError, *_UNREADABLE):
        return {}
    return value if isinstance(value, dict) else {}


# -- what the CLI said -----------------------------------------------------------------------------


def read_input() -> bytes:
    """Standard input, of which what is beyond HOOK_INPUT_BYTES_MAX is mostly thrown away."""
    pieces = []
    size = 0
    while piece := os.read(0, 1024 * 1024):
        if size <= HOOK_INPUT_BYTES_MAX:
            pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def shortened(body: bytes) -> bytes:
    """The input without what is long and of no use; raises HookGaveUp when it is no JSON then."""
    if len(body) <= HOOK_SENT_BYTES_MAX:
        return body
    import json  # seldom, and then the rest takes longer anyway

    try:
        value = json.loads(body)
    except ValueError:
        raise HookGaveUp("the input is long and no JSON") from None
    if not isinstance(value, dict):
        raise HookGaveUp("the input is long and no object")
    value = {name: part for name, part in value.items() if name not in _RESULTS}
    made = json.dumps(value).encode()
    if len(made) <= HOOK_SENT_BYTES_MAX:
        return made
    return json.dumps(_cut(value) | {"repomesh_cut": True}).encode()  # what is not sent can't be checked


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:HOOK_TEXT_CHARS_MAX]
    if isinstance(value, list):
        return [_cut(part) for part in value]
    if isinstance(value, dict):
        return {name: _cut(part) for name, part in value.items()}
    return value


# -- the request -----------------------------------------------------------------------------------


def ask(
    folder: TrustedFolder, marker: dict[str, Any], path: str, body: bytes, deadline: float, log: Log
) -> bytes:
    """What the server answers to the hook; raises HookGaveUp with the reason why there is nothing."""
    url, token = _server(folder, marker)
    scheme, host, port, prefix = _split(url)
    head = {
        "Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Repomesh-Process": ",".join(f"{named(process)}{_machine()}" for process in cli_processes()),
        "X-Repomesh-Agent": wanted_agent(marker, log),
    }
    for name, value in head.items():
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise HookGaveUp(f"the header {name} would hold characters that no header may hold")
    lines = [f"POST {prefix}{path} HTTP/1.0", *(f"{name}: {value}" for name, value in head.items() if value)]
    return _exchange(scheme, host, port, "\r\n".join([*lines, "", ""]).encode() + body, deadline)


def wanted_agent(marker: dict[str, Any], log: Log) -> str:
    """The agent to be; nothing when none is named.

    What is no agent's name is left out and logged: the server would refuse it, and nothing would be checked.
    """
    agent = os.environ.get("REPOMESH_AGENT") or marker.get("agent") or ""
    fits = isinstance(agent, str) and len(agent) <= NAME_CHARS_MAX and agent.isascii()
    if agent and not (fits and agent[0].isalnum() and agent.translate(_MARKS).isalnum()):
        log.write(f"{str(agent)[:NAME_CHARS_MAX]!r} is no agent's name: REPOMESH_AGENT, or connect --agent")
        return ""
    return agent


def _server(folder: TrustedFolder, marker: dict[str, Any]) -> tuple[str, str]:
    """URL and token. A token of the data folder goes to the folder's own server only.

    A CLI that is connected over HTTP has a token of its own, and its hooks act as that token's agent, too.
    """
    url, token = os.environ.get("REPOMESH_URL"), os.environ.get("REPOMESH_TOKEN")
    if url and token:
        return url, token
    note = read_json(f"{folder.record}/server.json")
    if not note or not isinstance(note.get("url"), str):
        raise HookGaveUp("no server has said where it answers")
    own = note["url"]
    if not url and not _is_held(folder, note.get("pid")):
        raise HookGaveUp("the server does not run")  # another program may listen on its port by now
    if url and url.rstrip("/") != own.rstrip("/"):
        raise HookGaveUp("REPOMESH_URL names another server, and REPOMESH_TOKEN is not set")
    kept = f"connect/{marker.get('cli')}.token" if marker.get("http") else "token"
    try:
        return own, token or _token(folder, kept)
    except (OSError, ValueError):
        raise HookGaveUp("the token can't be read") from None


def _is_held(folder: TrustedFolder, pid: object) -> bool:
    """Whether this process holds the lock of the data folder: it is the folder's server, and it runs."""
    import fcntl

    lock = _open("lock", os.O_RDWR, within=folder.descriptor)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(lock, 32, 0).decode("ascii", "replace").strip() == str(pid)
    finally:
        os.close(lock)
    return False


def _token(folder: TrustedFolder, name: str) -> str:
    """The token in a file of the data folder; raises OSError for a link or a pipe anywhere on the way."""
    within, _, name = name.rpartition("/")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(within or ".", flags, dir_fd=folder.descriptor)
    try:
        with open(_open(name, os.O_RDONLY, within=directory), encoding="utf-8") as file:
            return file.read(65_536).strip()
    finally:
        os.close(directory)


def _split(url: str) -> tuple[str, str, int, str]:
    scheme, _, rest = url.partition("://")
    place, slash, prefix = rest.partition("/")
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, "443" if scheme == "https" else "80"
    if scheme not in ("http", "https") or not host or not port.isdigit():
        raise HookGaveUp("the server's URL is none")
    return scheme, host.strip("[]"), int(port), (slash + prefix).rstrip("/")


def _exchange(scheme: str, host: str, port: int, request: bytes, deadline: float) -> bytes:
    connection: Any = None
    try:
        connection = _connected(host, port, deadline)
        if scheme == "https":
            connection = _secured(connection, host, deadline)
        _limit(connection, deadline)
        connection.sendall(request)
        return _answer(connection, deadline)
    except TimeoutError:
        raise HookGaveUp("the server did not answer in time") from None
    except OSError as error:
        raise HookGaveUp(f"the server can't be reached: {error.strerror or error}") from None
    finally:
        if connection is not None:
            connection.close()


def _connected(host: str, port: int, deadline: float) -> Any:
    if host == "127.0.0.1":  # nearly always, and getaddrinfo would read several files
        found: list[Any] = [(_socket.AF_INET, _socket.SOCK_STREAM, 0, "", (host, port))]
    else:
        found = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, type_, protocol, _, address in found:
        made = _socket.socket(family, type_, protocol)
        try:
            _limit(made, deadline)
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure


def _secured(connection: Any, host: str, deadline: float) -> Any:
    import socket
    import ssl

    _limit(connection, deadline)
    whole = socket.socket(fileno=connection.detach())
    _limit(whole, deadline)
    return ssl.create_default_context().wrap_socket(whole, server_hostname=host)


def _limit(connection: Any, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _answer(connection: Any, deadline: float) -> bytes:
    """The body of a whole answer of status 200; nothing for 204."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection, deadline, "a whole head")
        if len(got) > _HEADER_BYTES_MAX:
            raise HookGaveUp("the answer's head is too long")
    head, _, body = got.partition(b"\r\n\r\n")
    status, length = _understood(head)
    if status == 204:
        return b""
    if status != 200:
        raise HookGaveUp(f"the server refused with {status}")
    if length < 0 or length > HOOK_OUTPUT_BYTES_MAX:
        raise HookGaveUp(f"the answer is longer than {HOOK_OUTPUT_BYTES_MAX} bytes, or does not say how long")
    while len(body) < length:
        body += _more(connection, deadline, "the whole answer")
    return body[:length]


def _more(connection: Any, deadline: float, wanted: str) -> bytes:
    _limit(connection, deadline)
    piece: bytes = connection.recv(65_536)
    if not piece:
        raise HookGaveUp(f"the server hung up before {wanted} was there")
    return piece


def _understood(head: bytes) -> tuple[int, int]:
    """Status and length of the body; -1 when it names none."""
    first, *lines = head.split(b"\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise HookGaveUp("what answers there does not speak HTTP")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(words[1]), int(value)
    return int(words[1]), -1


# -- processes and what wakes a session ------------------------------------------------------------


def ancestors() -> list[int]:
    """The processes above this one, nearest first; only the parent where there is no /proc."""
    found = [os.getppid()]
    while len(found) < HOOK_PROCESSES_MAX and found[-1] > 1:
        try:
            # The name, in brackets, may hold anything; behind it stand the state and the parent.
            parent = int(_text(f"/proc/{found[-1]}/stat").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        if parent <= 1:
            break
        found.append(parent)
    return found


def cli_processes() -> list[int]:
    """The CLI's own process and those above it: the hook's ancestors without the shell that it runs in."""
    above = ancestors()
    for index, process in enumerate(above):
        try:
            if _text(f"/proc/{process}/comm").strip() not in _SHELLS:
                return above[index:]
        except OSError:
            break
    return above


def named(process: int) -> str:
    """A process by its number and its start, without its machine, as `repomesh.kernel.processes` does."""
    start = _start(process)
    return f"{process}.{start}" if start else str(process)


def _start(process: int) -> str:
    """When a process began, in clock ticks since the boot; empty when it is over or that can't be seen."""
    try:
        fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
        return fields[19] if fields[0] not in ("Z", "X") and int(fields[19]) else ""
    except (OSError, ValueError, IndexError):
        return ""


def _machine() -> str:
    """What tells this machine's processes from another's, as `repomesh.kernel.processes` says it, too."""
    name = os.uname().nodename if hasattr(os, "uname") else ""
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in name)
    if not kept:
        return ""
    if len(kept) > PROCESS_MACHINE_CHARS_MAX:
        half = PROCESS_MACHINE_CHARS_MAX // 2
        kept = kept[:half] + kept[-half:]
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return f"@{kept}"
    return f"@{kept}.ns{''.join(sign for sign in space if sign.isdigit())}"


def keep_wake(folder: TrustedFolder, cli: str, event: str, body: bytes) -> None:
    """At a session's start keep where it may be woken, for the daemon; at its end forget it.

    Two processes may have one session open: the later one's note stands under the name by which the server
    calls its run, and neither touches the other's.
    """
    moment = event.lower()
    if moment not in ("sessionstart", "sessionend"):
        return
    try:
        session = parsed(body.decode()).get("session_id")
    except (AttributeError, *_UNREADABLE):
        return
    if not isinstance(session, str) or not 0 < len(session) <= 128 or session.startswith("."):
        return
    if not all(character.isalnum() or character in "-_." for character in session):
        return
    socket = os.environ.get("CLAUDE_CODE_MESSAGING_SOCKET")
    if moment == "sessionend":
        _forget_wake(folder, session)
    elif socket:
        token = os.environ.get("CLAUDE_CODE_MESSAGING_TOKEN", "")
        wake = {"cli": cli, "session_id": session, "socket": socket, "token": token}
        try:  # noqa: SIM105 - contextlib costs time to import
            os.mkdir("wake", 0o700, dir_fd=folder.descriptor)
        except FileExistsError:  # from an earlier session, or one that starts at the same time
            pass
        within, process = _wakes(folder), named(cli_processes()[0])
        name = f"{session}:{process}.json" if _is_others(within, session, process) else f"{session}.json"
        _write_wake(within, name, wake | {"process": process})


def _forget_wake(folder: TrustedFolder, session: str) -> None:
    process = named(cli_processes()[0])
    try:
        within = _wakes(folder)
        names = [f"{session}:{process}.json"]
        if not _is_others(within, session, process):
            names.append(f"{session}.json")
    except FileNotFoundError:
        return
    for name in names:
        try:  # noqa: SIM105 - contextlib costs time to import
            os.unlink(name, dir_fd=within)
        except FileNotFoundError:
            pass


def _is_others(within: int, session: str, process: str) -> bool:
    """Whether the session's note is of another process that lives."""
    try:
        with open(_open(f"{session}.json", os.O_RDONLY, within=within), encoding="utf-8") as file:
            other = parsed(file.read(HOOK_TEXT_CHARS_MAX)).get("process")
    except (AttributeError, OSError, *_UNREADABLE):
        return False
    if not isinstance(other, str) or other == process:
        return False
    number, _, start = other.partition(".")
    return bool(start) and number.isdigit() and _start(int(number)) == start


def _wakes(folder: TrustedFolder) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open("wake", flags, dir_fd=folder.descriptor)


def _write_wake(within: int, name: str, wake: dict[str, Any]) -> None:
    import json

    draft = f"{name}.{os.getpid()}"
    descriptor = _open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, within=within)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(wake, file)
    os.replace(draft, name, src_dir_fd=within, dst_dir_fd=within)


def revive_daemon(folder: TrustedFolder) -> None:
    """Start the daemon again, which wakes idle sessions, where one ran before and holds its lock no more."""
    import fcntl

    try:
        lock = _open("daemon.lock", os.O_RDWR, within=folder.descriptor)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    words = [sys.executable, "-E", "-P", "-m", "repomesh.cli.main", "daemon"]
    os.posix_spawn(
        sys.executable, words, os.environ | {"REPOMESH_DATA": folder.path}, file_actions=quiet, setsid=True
    )


# -- the end ---------------------------------------------------------------------------------------


class Log:
    """A line for each hook that gave nothing, in a file that is set aside when it is full."""

    def __init__(self) -> None:
        self.folder: TrustedFolder | None = None
        self.label = ""

    def write(self, reason: str) -> None:
        """Add a line, if there is where to; never raises."""
        if self.folder is None:
            return
        try:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = " ".join(f"{now} {self.label}: {reason}".split())[:500] + "\n"
            within = self.folder.descriptor
            target = _open("hooks.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, within=within)
            try:
                os.write(target, line.encode("utf-8", "replace"))
                full = os.fstat(target).st_size > HOOK_LOG_BYTES_MAX
            finally:
                os.close(target)
            if full:
                os.replace("hooks.log", "hooks.log.1", src_dir_fd=within, dst_dir_fd=within)
        except OSError:
            return


def _end_in_time(begun: float, log: Log) -> None:
    """The net under everything that may hang: a pipe that nobody closes, a name server, a disk."""
    time.sleep(max(0.0, begun + HOOK_DEADLINE_S - time.monotonic()))
    log.write("it took too long")
    os._exit(0)


def _end(answer: bytes) -> NoReturn:
    try:
        if answer:
            os.write(1, answer)
    except OSError:
        pass  # who asked has gone
    os._exit(0)


if __name__ == "__main__":
    main()
