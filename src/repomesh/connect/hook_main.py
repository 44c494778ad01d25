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

_RESULTS = frozenset(
    {"tool_response", "toolResult", "tool_result", "tool_output", "prompt_response", "last_assistant_message"}
)
"""What a tool or a model answered: long, and of no use to the server."""
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh", "fish"})
_HEADER_BYTES_MAX = 16 * 1024
_UNREADABLE = (ValueError, StopIteration, RecursionError, SystemError)
"""What the scanner of `json` raises; the last when it misses an exception of `json.decoder`."""


class GaveUp(Exception):
    """The reason why there is nothing to print."""


def main() -> NoReturn:
    """Run the hook that `sys.argv` names. Ends the process with 0 within HOOK_DEADLINE_S of its start."""
    begun = time.monotonic()
    log = Log()
    _thread.start_new_thread(_end_in_time, (begun, log))
    answer = b""
    try:
        answer = run(sys.argv[1:], log, begun + HOOK_ANSWER_S)
    except GaveUp as reason:
        log.write(str(reason))
    except BaseException as error:  # a hook must never stop the CLI that called it
        log.write(f"{type(error).__name__}: {error}")
    _end(answer)


def run(words: list[str], log: Log, deadline: float) -> bytes:
    """What to print for the hook `words` (CLI, EVENT); raises GaveUp or whatever else goes wrong."""
    if len(words) != 2 or not all(word.replace("-", "").isalnum() and word.isascii() for word in words):
        raise GaveUp("called with other words than CLI EVENT")
    cli, event = words
    log.label = f"{cli} {event}"
    body = read_input()  # to its end in any case: who writes it may not expect a closed pipe
    data = data_folder(cli)
    marker = read_json(f"{data}/connect/{cli}.json") if data else None
    if data is None or marker is None:
        return b""
    log.path = f"{data}/hooks.log"
    if len(body) > HOOK_INPUT_BYTES_MAX:
        raise GaveUp(f"the input is longer than {HOOK_INPUT_BYTES_MAX} bytes")
    keep_wake(data, cli, event, body)
    answer = ask(data, marker, f"/v1/hooks/{cli}/{event}", shortened(body), deadline)
    if event.lower() == "sessionstart":
        revive_daemon(data)
    return answer


# -- where things lie ------------------------------------------------------------------------------


def data_folder(cli: str) -> str | None:
    """The data folder of the repository around the hook's session; None outside of any.

    It is what `repomesh.kernel.places.data_folder` answers, without asking git.
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
        if os.path.exists(git):
            return f"{_main_work_tree(folder, git)}/.repomesh"
        candidate = f"{folder}/.repomesh"
        if unversioned is None and os.path.exists(f"{candidate}/token") and _own(candidate):
            unversioned = candidate
        if os.path.isfile(f"{folder}/HEAD") and os.path.isdir(f"{folder}/objects"):
            return candidate  # a bare repository
    return unversioned


def _upwards(start: str) -> Iterator[str]:
    folder = os.path.abspath(start)
    while True:
        yield folder.rstrip("/")
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)


def _main_work_tree(folder: str, git: str) -> str:
    """Where the repository's main work tree is; `folder` may be a linked one, or a submodule."""
    if os.path.isdir(git):
        return folder
    own = _joined(folder, _text(git).partition("gitdir:")[2].strip())
    if not os.path.exists(f"{own}/commondir"):
        return folder  # a submodule keeps its repository elsewhere
    common = os.path.realpath(_joined(own, _text(f"{own}/commondir").strip()))
    return os.path.dirname(common) if os.path.basename(common) == ".git" else common


def _joined(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def _own(folder: str) -> bool:
    return os.stat(folder).st_uid == os.getuid()


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(65_536)


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
    """The object in a file; None when there is none, and an empty one when it can't be read."""
    try:
        with open(path, encoding="utf-8") as file:
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
    """The input without what is long and of no use; raises GaveUp when it is no JSON then."""
    if len(body) <= HOOK_SENT_BYTES_MAX:
        return body
    import json  # seldom, and then the rest takes longer anyway

    try:
        value = json.loads(body)
    except ValueError:
        raise GaveUp("the input is long and no JSON") from None
    if not isinstance(value, dict):
        raise GaveUp("the input is long and no object")
    value = {name: part for name, part in value.items() if name not in _RESULTS}
    made = json.dumps(value).encode()
    return made if len(made) <= HOOK_SENT_BYTES_MAX else json.dumps(_cut(value)).encode()


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:HOOK_TEXT_CHARS_MAX]
    if isinstance(value, list):
        return [_cut(part) for part in value]
    if isinstance(value, dict):
        return {name: _cut(part) for name, part in value.items()}
    return value


# -- the request -----------------------------------------------------------------------------------


def ask(data: str, marker: dict[str, Any], path: str, body: bytes, deadline: float) -> bytes:
    """What the server answers to the hook; raises GaveUp with the reason why there is nothing."""
    url, token = _server(data)
    scheme, host, port, prefix = _split(url)
    head = {
        "Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Repomesh-Process": ",".join(f"{process}{_machine()}" for process in ancestors()),
        "X-Repomesh-Agent": os.environ.get("REPOMESH_AGENT") or marker.get("agent") or "",
    }
    for name, value in head.items():
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise GaveUp(f"the header {name} would hold characters that no header may hold")
    lines = [f"POST {prefix}{path} HTTP/1.0", *(f"{name}: {value}" for name, value in head.items() if value)]
    return _exchange(scheme, host, port, "\r\n".join([*lines, "", ""]).encode() + body, deadline)


def _server(data: str) -> tuple[str, str]:
    """URL and token. A token of the data folder goes to the folder's own server only."""
    url, token = os.environ.get("REPOMESH_URL"), os.environ.get("REPOMESH_TOKEN")
    if url and token:
        return url, token
    note = read_json(f"{data}/server.json")
    if not note or not isinstance(note.get("url"), str):
        raise GaveUp("no server has said where it answers")
    own = note["url"]
    if url and url.rstrip("/") != own.rstrip("/"):
        raise GaveUp("REPOMESH_URL names another server, and REPOMESH_TOKEN is not set")
    try:
        return own, token or _text(f"{data}/token").strip()
    except OSError:
        raise GaveUp("the token can't be read") from None


def _split(url: str) -> tuple[str, str, int, str]:
    scheme, _, rest = url.partition("://")
    place, slash, prefix = rest.partition("/")
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, "443" if scheme == "https" else "80"
    if scheme not in ("http", "https") or not host or not port.isdigit():
        raise GaveUp("the server's URL is none")
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
        raise GaveUp("the server did not answer in time") from None
    except OSError as error:
        raise GaveUp(f"the server can't be reached: {error.strerror or error}") from None
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
            raise GaveUp("the answer's head is too long")
    head, _, body = got.partition(b"\r\n\r\n")
    status, length = _understood(head)
    if status == 204:
        return b""
    if status != 200:
        raise GaveUp(f"the server refused with {status}")
    if length < 0 or length > HOOK_OUTPUT_BYTES_MAX:
        raise GaveUp(f"the answer is longer than {HOOK_OUTPUT_BYTES_MAX} bytes, or does not say how long")
    while len(body) < length:
        body += _more(connection, deadline, "the whole answer")
    return body[:length]


def _more(connection: Any, deadline: float, wanted: str) -> bytes:
    _limit(connection, deadline)
    piece: bytes = connection.recv(65_536)
    if not piece:
        raise GaveUp(f"the server hung up before {wanted} was there")
    return piece


def _understood(head: bytes) -> tuple[int, int]:
    """Status and length of the body; -1 when it names none."""
    first, *lines = head.split(b"\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise GaveUp("what answers there does not speak HTTP")
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


def _machine() -> str:
    """What tells this machine's processes from another's, as the MCP proxy says it, too."""
    name = os.uname().nodename if hasattr(os, "uname") else ""
    kept = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "-" for sign in name)
    return f"@{kept[:40]}" if kept else ""


def keep_wake(data: str, cli: str, event: str, body: bytes) -> None:
    """At a session's start keep where it may be woken, for the daemon; at its end forget it."""
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
    path = f"{data}/wake/{session}.json"
    socket = os.environ.get("CLAUDE_CODE_MESSAGING_SOCKET")
    if moment == "sessionend":
        if os.path.exists(path):
            os.unlink(path)
    elif socket:
        token = os.environ.get("CLAUDE_CODE_MESSAGING_TOKEN", "")
        _write_wake(path, {"cli": cli, "session_id": session, "socket": socket, "token": token})


def _write_wake(path: str, wake: dict[str, Any]) -> None:
    import json

    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    draft = f"{path}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(wake | {"pid": _session_process()}, file)
    os.replace(draft, path)


def _session_process() -> int:
    """The CLI's own process: the nearest above that is not just the shell which the hook runs in."""
    above = ancestors()
    for process in above:
        try:
            if _text(f"/proc/{process}/comm").strip() not in _SHELLS:
                return process
        except OSError:
            break
    return above[0]


def revive_daemon(data: str) -> None:
    """Start the daemon again, which wakes idle sessions, where one ran before and holds its lock no more."""
    import fcntl

    try:
        lock = os.open(f"{data}/daemon.lock", os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    words = [sys.executable, "-P", "-m", "repomesh.cli.main", "daemon"]
    os.posix_spawn(
        sys.executable, words, os.environ | {"REPOMESH_DATA": data}, file_actions=quiet, setsid=True
    )


# -- the end ---------------------------------------------------------------------------------------


class Log:
    """A line for each hook that gave nothing, in a file that is set aside when it is full."""

    def __init__(self) -> None:
        self.path = ""
        self.label = ""

    def write(self, reason: str) -> None:
        """Add a line, if there is where to; never raises."""
        if not self.path:
            return
        try:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = " ".join(f"{now} {self.label}: {reason}".split())[:500] + "\n"
            target = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                os.write(target, line.encode("utf-8", "replace"))
                full = os.fstat(target).st_size > HOOK_LOG_BYTES_MAX
            finally:
                os.close(target)
            if full:
                os.replace(self.path, f"{self.path}.1")
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
