"""Which files a shell command or a patch writes, as far as can be told without running it.

Good enough to stop an honest agent before it writes what another holds, and no more: a command can hide
what it does in many ways, and `git` checks again before a commit.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from posixpath import join, normpath

from repomesh.kernel.limits import EDITED_PATHS_MAX, FILE_PATH_CHARS_MAX, SHELL_CHARS_MAX

_PATCHED = re.compile(r"^\*\*\* (?:Add File|Update File|Delete File|Move to): (.+?)\s*$", re.MULTILINE)
_DIFFED = re.compile(r"^\+\+\+ (?:b/)?([^\t\n]+?)\s*$", re.MULTILINE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_REDIRECTS = frozenset({">", ">>", ">|", "&>", "&>>", "<>"})
_SEPARATORS = frozenset({";", "&", "&&", "||", "|", "|&", "(", ")", "\n", ";;"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
_WILD = frozenset("*?[]{}$`~")
_WRAPPERS = frozenset({"sudo", "env", "command", "nohup", "time", "exec", "then", "do", "else", "!", "{"})
_ALL_ARGUMENTS = frozenset({"tee", "rm", "touch", "truncate", "unlink", "shred", "rmdir"})
_LAST_ARGUMENT = frozenset({"cp", "install", "ln", "rsync"})
_IN_PLACE = frozenset({"sed", "perl", "gsed"})


def written_paths(command: str, *, patch: bool = False) -> tuple[str, ...]:
    """The paths that a command writes or a patch touches, each once, relative ones as they stand."""
    command = command[:SHELL_CHARS_MAX]
    found = _PATCHED.findall(command) if "*** " in command else []
    if patch:
        return _clean(found or [path for path in _DIFFED.findall(command) if path != "/dev/null"])
    return _clean([*found, *_of_commands(_without_heredocs(command))])


def _clean(paths: Sequence[str]) -> tuple[str, ...]:
    kept = dict.fromkeys(
        path
        for path in paths
        if path and len(path) <= FILE_PATH_CHARS_MAX and not path.startswith("/dev/") and path.isprintable()
    )
    return tuple(kept)[:EDITED_PATHS_MAX]


def _without_heredocs(command: str) -> str:
    """The command without the texts that it feeds to others, which are no commands."""
    kept, ends = [], list[str]()
    for line in command.split("\n"):
        if ends:
            if line.strip() == ends[0]:
                ends.pop(0)
            continue
        ends = [found[1] for found in _HEREDOC.findall(line)]
        kept.append(_HEREDOC.sub(" ", line))
    return "\n".join(kept)


def _of_commands(command: str) -> Iterator[str]:
    folder = ""
    for words in _commands(command):
        targets, rest = _redirected(words)
        name, arguments = _called(rest)
        targets += _written_by(name, arguments)
        for target in targets:
            if not _WILD & set(target):
                yield normpath(join(folder, target)) if folder else target
        if name == "cd" and arguments:
            folder = join(folder, arguments[0])


def _commands(command: str) -> Iterator[list[str]]:
    """The simple commands of a line, each as its words; nothing where the quotes don't match."""
    lexer = shlex.shlex(
        command.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars="();<>|&"
    )
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if word in _SEPARATORS:
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:
        return
    yield words


def _redirected(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Where a command's output goes, and its words without that."""
    targets, rest = [], list[str]()
    index = 0
    while index < len(words):
        if words[index] in _REDIRECTS and index + 1 < len(words):
            targets.append(words[index + 1])
            if rest and rest[-1].isdigit():
                rest.pop()  # the number of the stream
            index += 2
        elif words[index] == ">&":
            index += 2
        else:
            rest.append(words[index])
            index += 1
    return targets, rest


def _called(words: Sequence[str]) -> tuple[str, list[str]]:
    """The program's name and its arguments, behind assignments and what only wraps a command."""
    rest = list(words)
    while rest and (rest[0] in _WRAPPERS or _ASSIGNMENT.fullmatch(rest[0])):
        rest.pop(0)
    return (rest[0].rpartition("/")[2], rest[1:]) if rest else ("", [])


def _written_by(name: str, arguments: Sequence[str]) -> list[str]:
    plain = [word for word in arguments if not word.startswith("-")]
    if name in _ALL_ARGUMENTS:
        return plain
    if name in _LAST_ARGUMENT:
        return plain[-1:] if len(plain) > 1 else []
    if name == "mv":
        return plain
    if name == "dd":
        return [word[3:] for word in arguments if word.startswith("of=")]
    if name in _IN_PLACE and any(re.match(r"-[a-zA-Z]*i|--in-place", word) for word in arguments):
        return plain[1:]
    if name == "git" and plain[:1] in (["rm"], ["mv"], ["restore"], ["checkout"]):
        return _of_git(plain[0], arguments)
    return []


def _of_git(verb: str, arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    if verb == "checkout":  # without '--' what follows may be a branch
        return words[words.index("--") + 1 :] if "--" in words else []
    return [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
