"""The program that an agent CLI's hook runs: sends the hook's input to the server and prints the answer.

It runs as `PYTHON -I -S hook_main.py CLI EVENT`, often, and while a model waits: one file, which imports
nothing slow (only the C parts of `json` and `socket`) and knows no CLI's format. On any failure it exits with
0, prints nothing and writes a line to `hooks.log` of the data folder.
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

# Copies from kernel/limits.py, which has the reasons; importing it would take longer than the request.
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
"""The fields with answers of a tool or model: long, and unused by the server."""
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh", "fish"})
_MARKS = {ord(mark): None for mark in "._-"}
"""The characters of an agent's name besides letters and digits, for `str.translate`."""
_HEADER_BYTES_MAX = 16 * 1024
_OPENINGS_MAX = 20_000  # of objects and arrays in a long input that is parsed; more would take too long
_UNREADABLE = (ValueError, StopIteration, RecursionError, SystemError)
"""The exceptions of `json`'s scanner; SystemError when it can't find an exception of `json.decoder`."""


class HookGaveUp(Exception):
    """The hook has nothing to print; the message is the reason."""


def main() -> NoReturn:
    """Run the hook that `sys.argv` names. Ends the process with 0 within HOOK_DEADLINE_S of its start."""
    started_at = time.monotonic()
    log = Log()
    _thread.start_new_thread(_end_at_deadline, (started_at, log))
    answer = b""
    try:
        answer = run(sys.argv[1:], log, started_at + HOOK_ANSWER_S)
    except HookGaveUp as reason:
        log.write(str(reason))
    except BaseException as error:  # a hook must never stop the CLI that called it
        log.write(f"{type(error).__name__}: {error}")
    _end(answer)


def run(words: list[str], log: Log, deadline: float) -> bytes:
    """The output of the hook `words` (CLI, EVENT); may raise HookGaveUp or any other exception."""
    if len(words) != 2 or not all(word.replace("-", "").isalnum() and word.isascii() for word in words):
        raise HookGaveUp("called with other words than CLI EVENT")
    cli, event = words
    log.label = f"{cli} {event}"
    body = read_input()  # always to the end: the CLI may not expect a closed pipe
    folder = open_trusted_folder(data_folder(cli))
    marker = read_json(f"{folder.record}/connect/{cli}.json") if folder else None
    if folder is None or marker is None:
        return b""
    log.folder = folder
    update_wake_note(folder, cli, event, body)
    answer = request_reply(folder, marker, f"/v1/hooks/{cli}/{event}", shorten_input(body), deadline, log)
    if event.lower() == "sessionstart":
        revive_daemon(folder)
    return answer


# -- paths -----------------------------------------------------------------------------------------


def data_folder(cli: str) -> str | None:
    """The data folder of the repository around the hook's session; None outside of any.

    Returns the same as `repomesh.kernel.data_folder.data_folder`, without running git.
    """
    folder_variable = os.environ.get("REPOMESH_DATA")
    if folder_variable:
        return os.path.abspath(folder_variable)
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
        if unversioned is None and _is_data_folder(candidate):
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
    """Whether the path `git` is a file, or a folder with a HEAD."""
    return os.path.isfile(git) or os.path.lexists(f"{git}/HEAD")


def _main_work_tree(folder: str, git: str) -> str | None:
    """The repository's main work tree; `folder` may be a linked one, or a submodule.

    None when `.git` refers to a repository that does not refer back, as in `repomesh.kernel.work_trees`.
    """
    is_folder = os.path.isdir(git)
    own = os.path.realpath(
        git if is_folder else _join_path(folder, _first_line(git).partition("gitdir:")[2].strip())
    )
    if not os.path.lexists(f"{own}/commondir"):
        return folder  # a repository of its own: a submodule keeps its git folder elsewhere
    common = os.path.realpath(_join_path(own, _first_line(f"{own}/commondir").strip()))
    back, name = os.path.split(_join_path(own, _first_line(f"{own}/gitdir").strip()))
    if is_folder or os.path.islink(git) or os.path.dirname(own) != f"{common}/worktrees":
        return None
    if os.path.realpath(back) != folder or name != ".git":
        return None
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _first_line(path: str) -> str:
    """The first line of a regular file; empty for any other file, or none."""
    try:
        return _text(path)[:GIT_FILE_BYTES_MAX].partition("\n")[0]
    except OSError:
        return ""


def _join_path(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _is_data_folder(folder: str) -> bool:
    try:
        folder_stat = os.lstat(folder)
    except OSError:
        return False
    has_marker = os.path.lexists(f"{folder}/id") or os.path.lexists(f"{folder}/token")
    return has_marker and stat.S_ISDIR(folder_stat.st_mode) and folder_stat.st_uid == os.geteuid()


def _open(path: str, flags: int, *, within: int | None = None, links: bool = False) -> int:
    """Open a regular file of this user; returns a descriptor. Raises OSError, and never waits for a pipe.

    With `links` a link is followed and any user may own the file: for files outside of the data folder.
    """
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, 0o600, dir_fd=within)
    file_stat = os.fstat(descriptor)
    if stat.S_ISREG(file_stat.st_mode) and (links or file_stat.st_uid == os.geteuid()):
        return descriptor
    os.close(descriptor)
    raise OSError(f"{path} is no regular file of this user")


def _text(path: str) -> str:
    with open(_open(path, os.O_RDONLY, links=True), encoding="utf-8", errors="surrogateescape") as file:
        return file.read(65_536)


# -- trust -----------------------------------------------------------------------------------------


class TrustedFolder:
    """A data folder that this user created on this machine: its path, descriptor, and record's folder."""

    def __init__(self, path: str, descriptor: int, record: str) -> None:
        self.path = path
        self.descriptor = descriptor
        self.record = record


def open_trusted_folder(path: str | None) -> TrustedFolder | None:
    """Open the data folder at `path`; None if it was not created here, or if others may have written to it.

    The rules are those of `repomesh.kernel.trust.record_of`. Files that git could bring are not trusted: the
    server's URL and the connected CLIs are in the record.
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
    """Whether no other user may enter the folder or read its token, and it holds files and folders only."""
    user = os.geteuid()
    entry_stat = os.fstat(descriptor)
    if entry_stat.st_uid != user or entry_stat.st_mode & 0o077:
        return False
    with os.scandir(descriptor) as entries:
        for count, entry in enumerate(entries):
            try:
                entry_stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # a draft that was renamed or removed meanwhile
                continue
            is_regular = stat.S_ISREG(entry_stat.st_mode)
            if count >= FOLDER_ENTRIES_MAX or entry_stat.st_uid != user:
                return False
            if not (is_regular or stat.S_ISDIR(entry_stat.st_mode)):
                return False
            if entry.name in ("id", "token") and entry_stat.st_mode & 0o077:
                return False
    return True


def _record(descriptor: int) -> str | None:
    """The folder of the record, if it says that the data folder was created here, on this machine."""
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
    record = read_json(f"{folder}/record.json") or {}
    if record.get("suspect") or record.get("machine") != _machine_id():
        return None
    recorded_stat = os.lstat(str(record.get("path")))
    return folder if os.path.samestat(recorded_stat, os.fstat(descriptor)) else None


def _machine_id() -> str:
    try:
        return _text("/etc/machine-id")[:64].strip() or os.uname().nodename
    except OSError:
        return os.uname().nodename


# -- JSON ------------------------------------------------------------------------------------------


class _ScannerContext:
    """The attributes that the scanner of `json` needs."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def parse_json(text: str) -> Any:
    """The JSON value at the beginning of `text`; raises one of _UNREADABLE."""
    try:
        scan = _json.make_scanner(_ScannerContext)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        import json

        return json.loads(text)
    text = text.lstrip(" \t\r\n\ufeff")
    return scan(text, 0)[0]


def read_json(path: str) -> dict[str, Any] | None:
    """The object in a file of the record; None without the file, and empty when it can't be read."""
    try:
        with open(_open(path, os.O_RDONLY), encoding="utf-8") as file:
            value = parse_json(file.read(HOOK_SENT_BYTES_MAX))
    except FileNotFoundError:
        return None
    except (OSError, *_UNREADABLE):
        return {}
    return value if isinstance(value, dict) else {}


# -- the hook's input ------------------------------------------------------------------------------


def read_input() -> bytes:
    """Read standard input to its end; most of what exceeds HOOK_INPUT_BYTES_MAX is dropped."""
    pieces = []
    size = 0
    while piece := os.read(0, 1024 * 1024):
        if size <= HOOK_INPUT_BYTES_MAX:
            pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def shorten_input(body: bytes) -> bytes:
    """At most HOOK_SENT_BYTES_MAX of an input: without some fields, with shorter texts, or its beginning.

    The server reads what it can of a beginning, and takes the rest for any edit.
    """
    if len(body) <= HOOK_SENT_BYTES_MAX:
        return body
    if len(body) <= HOOK_INPUT_BYTES_MAX and body.count(b"{") + body.count(b"[") <= _OPENINGS_MAX:
        import json  # seldom, and then the rest takes longer anyway

        try:
            value = json.loads(body)
            if isinstance(value, dict):
                value = {name: part for name, part in value.items() if name not in _RESULTS}
                body = json.dumps(value).encode()
                if len(body) > HOOK_SENT_BYTES_MAX:
                    body = json.dumps(_shorten_texts(value) | {"repomesh_cut": True}).encode()
        except _UNREADABLE:
            pass
    return body[:HOOK_SENT_BYTES_MAX]


def _shorten_texts(value: Any) -> Any:
    if isinstance(value, str):
        return value[:HOOK_TEXT_CHARS_MAX]
    if isinstance(value, list):
        return [_shorten_texts(part) for part in value]
    if isinstance(value, dict):
        return {name: _shorten_texts(part) for name, part in value.items()}
    return value


# -- the request -----------------------------------------------------------------------------------


def request_reply(
    folder: TrustedFolder, marker: dict[str, Any], path: str, body: bytes, deadline: float, log: Log
) -> bytes:
    """Request the reply to the hook from the server; raises HookGaveUp."""
    url, token = _server_and_token(folder, marker)
    scheme, host, port, prefix = _split_url(url)
    head = {
        "Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Repomesh-Process": ",".join(f"{process_id(process)}{_machine()}" for process in cli_processes()),
        "X-Repomesh-Agent": requested_agent(marker, log),
    }
    for name, value in head.items():
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise HookGaveUp(f"the header {name} would hold characters that no header may hold")
    lines = [f"POST {prefix}{path} HTTP/1.0", *(f"{name}: {value}" for name, value in head.items() if value)]
    return _exchange(scheme, host, port, "\r\n".join([*lines, "", ""]).encode() + body, deadline)


def requested_agent(marker: dict[str, Any], log: Log) -> str:
    """The agent to act as; empty when none is named.

    An invalid name is logged and left out: the server would refuse the request, and nothing would be checked.
    """
    agent = os.environ.get("REPOMESH_AGENT") or marker.get("agent") or ""
    is_usable = isinstance(agent, str) and len(agent) <= NAME_CHARS_MAX and agent.isascii()
    if agent and not (is_usable and agent[0].isalnum() and agent.translate(_MARKS).isalnum()):
        log.write(f"{str(agent)[:NAME_CHARS_MAX]!r} is no agent's name: REPOMESH_AGENT, or connect --agent")
        return ""
    return agent


def _server_and_token(folder: TrustedFolder, marker: dict[str, Any]) -> tuple[str, str]:
    """URL and token. A token of the data folder is sent to the folder's own server only.

    A CLI that is connected over HTTP has its own token, and its hooks act as that token's agent, too.
    """
    url, token = os.environ.get("REPOMESH_URL"), os.environ.get("REPOMESH_TOKEN")
    if url and token:
        return url, token
    server_note = read_json(f"{folder.record}/server.json")
    if not server_note or not isinstance(server_note.get("url"), str):
        raise HookGaveUp("no server has said where it answers")
    own_url = server_note["url"]
    if not url and not _holds_lock(folder, server_note.get("pid")):
        raise HookGaveUp("the server does not run")  # another program may use its port now
    if url and url.rstrip("/") != own_url.rstrip("/"):
        raise HookGaveUp("REPOMESH_URL names another server, and REPOMESH_TOKEN is not set")
    token_file = f"connect/{marker.get('cli')}.token" if marker.get("http") else "token"
    try:
        return own_url, token or _read_token(folder, token_file)
    except (OSError, ValueError):
        raise HookGaveUp("the token can't be read") from None


def _holds_lock(folder: TrustedFolder, pid: object) -> bool:
    """Whether the process `pid` holds the lock of the data folder, as its running server does."""
    import fcntl

    lock = _open("lock", os.O_RDWR, within=folder.descriptor)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(lock, 32, 0).decode("ascii", "replace").strip() == str(pid)
    finally:
        os.close(lock)
    return False


def _read_token(folder: TrustedFolder, name: str) -> str:
    """The token in a file of the data folder; raises OSError for a link or a pipe on the path."""
    within, _, name = name.rpartition("/")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(within or ".", flags, dir_fd=folder.descriptor)
    try:
        with open(_open(name, os.O_RDONLY, within=directory), encoding="utf-8") as file:
            return file.read(65_536).strip()
    finally:
        os.close(directory)


def _split_url(url: str) -> tuple[str, str, int, str]:
    scheme, _, after_scheme = url.partition("://")
    address, slash, prefix = after_scheme.partition("/")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, "443" if scheme == "https" else "80"
    if scheme not in ("http", "https") or not host or not port.isdigit():
        raise HookGaveUp("the server's URL is none")
    return scheme, host.strip("[]"), int(port), (slash + prefix).rstrip("/")


def _exchange(scheme: str, host: str, port: int, request: bytes, deadline: float) -> bytes:
    connection: Any = None
    try:
        connection = _connect(host, port, deadline)
        if scheme == "https":
            connection = _wrap_tls(connection, host, deadline)
        _set_timeout(connection, deadline)
        connection.sendall(request)
        return _read_response(connection, deadline)
    except TimeoutError:
        raise HookGaveUp("the server did not answer in time") from None
    except OSError as error:
        raise HookGaveUp(f"the server can't be reached: {error.strerror or error}") from None
    finally:
        if connection is not None:
            connection.close()


def _connect(host: str, port: int, deadline: float) -> Any:
    if host == "127.0.0.1":  # nearly always, and getaddrinfo would read several files
        addresses: list[Any] = [(_socket.AF_INET, _socket.SOCK_STREAM, 0, "", (host, port))]
    else:
        addresses = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, type_, protocol, _, address in addresses:
        connection = _socket.socket(family, type_, protocol)
        try:
            _set_timeout(connection, deadline)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _wrap_tls(connection: Any, host: str, deadline: float) -> Any:
    import socket
    import ssl

    _set_timeout(connection, deadline)
    wrapped = socket.socket(fileno=connection.detach())
    _set_timeout(wrapped, deadline)
    return ssl.create_default_context().wrap_socket(wrapped, server_hostname=host)


def _set_timeout(connection: Any, deadline: float) -> None:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise TimeoutError
    connection.settimeout(remaining_s)


def _read_response(connection: Any, deadline: float) -> bytes:
    """The body of a complete 200 response; empty for 204. Raises HookGaveUp for any other."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection, deadline, "a whole head")
        if len(received) > _HEADER_BYTES_MAX:
            raise HookGaveUp("the answer's head is too long")
    head, _, body = received.partition(b"\r\n\r\n")
    status, length = _parse_head(head)
    if status == 204:
        return b""
    if status != 200:
        raise HookGaveUp(f"the server refused with {status}")
    if length < 0 or length > HOOK_OUTPUT_BYTES_MAX:
        raise HookGaveUp(f"the answer is longer than {HOOK_OUTPUT_BYTES_MAX} bytes, or does not say how long")
    while len(body) < length:
        body += _receive(connection, deadline, "the whole answer")
    return body[:length]


def _receive(connection: Any, deadline: float, missing_part: str) -> bytes:
    _set_timeout(connection, deadline)
    piece: bytes = connection.recv(65_536)
    if not piece:
        raise HookGaveUp(f"the server hung up before {missing_part} was there")
    return piece


def _parse_head(head: bytes) -> tuple[int, int]:
    """The status and the content length; -1 without one."""
    first, *lines = head.split(b"\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise HookGaveUp("what answers there does not speak HTTP")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(words[1]), int(value)
    return int(words[1]), -1


# -- processes and waking --------------------------------------------------------------------------


def ancestors() -> list[int]:
    """The processes above this one, nearest first; only the parent where there is no /proc."""
    processes = [os.getppid()]
    while len(processes) < HOOK_PROCESSES_MAX and processes[-1] > 1:
        try:
            # The name, in brackets, may hold anything; the state and the parent follow it.
            parent = int(_text(f"/proc/{processes[-1]}/stat").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
        if parent <= 1:
            break
        processes.append(parent)
    return processes


def cli_processes() -> list[int]:
    """The CLI's process and those above it: the hook's ancestors without its shell."""
    above = ancestors()
    for index, process in enumerate(above):
        try:
            if _text(f"/proc/{process}/comm").strip() not in _SHELLS:
                return above[index:]
        except OSError:
            break
    return above


def process_id(process: int) -> str:
    """A process's id without the machine: its number and start, as in `repomesh.kernel.processes`."""
    start = _start_of(process)
    return f"{process}.{start}" if start else str(process)


def _start_of(process: int) -> str:
    """The start of a process in clock ticks since boot; empty when it has ended or can't be read."""
    try:
        fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
        return fields[19] if fields[0] not in ("Z", "X") and int(fields[19]) else ""
    except (OSError, ValueError, IndexError):
        return ""


def _machine() -> str:
    """The suffix of this machine in process ids, as in `repomesh.kernel.processes`."""
    node_name = os.uname().nodename if hasattr(os, "uname") else ""
    name = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in node_name
    )
    if not name:
        return ""
    if len(name) > PROCESS_MACHINE_CHARS_MAX:
        half = PROCESS_MACHINE_CHARS_MAX // 2
        name = name[:half] + name[-half:]
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return f"@{name}"
    return f"@{name}.ns{''.join(sign for sign in space if sign.isdigit())}"


def update_wake_note(folder: TrustedFolder, cli: str, event: str, body: bytes) -> None:
    """At a session's start write a note for the daemon on how to wake it; at its end remove the note.

    Two processes may have one session open: the later one's note has the server's name of its run, and
    neither touches the other's.
    """
    moment = event.lower()
    if moment not in ("sessionstart", "sessionend"):
        return
    try:
        session = parse_json(body.decode()).get("session_id")
    except (AttributeError, *_UNREADABLE):
        return
    if not isinstance(session, str) or not 0 < len(session) <= 128 or session.startswith("."):
        return
    if not all(character.isalnum() or character in "-_." for character in session):
        return
    socket = os.environ.get("CLAUDE_CODE_MESSAGING_SOCKET")
    if moment == "sessionend":
        _remove_wake_note(folder, session)
    elif socket:
        token = os.environ.get("CLAUDE_CODE_MESSAGING_TOKEN", "")
        wake = {"cli": cli, "session_id": session, "socket": socket, "token": token}
        try:  # noqa: SIM105 - contextlib costs time to import
            os.mkdir("wake", 0o700, dir_fd=folder.descriptor)
        except FileExistsError:  # from an earlier session, or one that starts at the same time
            pass
        within, process = _open_wake_folder(folder), process_id(cli_processes()[0])
        name = (
            f"{session}:{process}.json" if _belongs_to_other(within, session, process) else f"{session}.json"
        )
        _write_wake_note(within, name, wake | {"process": process})


def _remove_wake_note(folder: TrustedFolder, session: str) -> None:
    process = process_id(cli_processes()[0])
    try:
        within = _open_wake_folder(folder)
        names = [f"{session}:{process}.json"]
        if not _belongs_to_other(within, session, process):
            names.append(f"{session}.json")
    except FileNotFoundError:
        return
    for name in names:
        try:  # noqa: SIM105 - contextlib costs time to import
            os.unlink(name, dir_fd=within)
        except FileNotFoundError:
            pass


def _belongs_to_other(within: int, session: str, process: str) -> bool:
    """Whether the session's note belongs to another running process."""
    try:
        with open(_open(f"{session}.json", os.O_RDONLY, within=within), encoding="utf-8") as file:
            owner = parse_json(file.read(HOOK_TEXT_CHARS_MAX)).get("process")
    except (AttributeError, OSError, *_UNREADABLE):
        return False
    if not isinstance(owner, str) or owner == process:
        return False
    number, _, start = owner.partition(".")
    return bool(start) and number.isdigit() and _start_of(int(number)) == start


def _open_wake_folder(folder: TrustedFolder) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open("wake", flags, dir_fd=folder.descriptor)


def _write_wake_note(within: int, name: str, wake: dict[str, Any]) -> None:
    import json

    draft = f"{name}.{os.getpid()}"
    descriptor = _open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, within=within)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(wake, file)
    os.replace(draft, name, src_dir_fd=within, dst_dir_fd=within)


def revive_daemon(folder: TrustedFolder) -> None:
    """Restart the daemon, which wakes idle sessions, where one ran before and has released its lock."""
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
    """Logs a line for each hook without output, in a file that is rotated when it is full."""

    def __init__(self) -> None:
        self.folder: TrustedFolder | None = None
        self.label = ""

    def write(self, reason: str) -> None:
        """Add a line, if the data folder is known; never raises."""
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


def _end_at_deadline(started_at: float, log: Log) -> None:
    """End the process at its deadline, whatever hangs: a pipe, a name server, a disk."""
    time.sleep(max(0.0, started_at + HOOK_DEADLINE_S - time.monotonic()))
    log.write("it took too long")
    os._exit(0)


def _end(answer: bytes) -> NoReturn:
    try:
        if answer:
            os.write(1, answer)
    except OSError:
        pass  # the CLI has closed the pipe
    os._exit(0)


if __name__ == "__main__":
    main()
