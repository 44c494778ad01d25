"""`repomesh plan`: no server, no data folder, one error for each mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import Shell, git
from repomesh.cli.plan_files import file_reader, list_files, read_list
from repomesh.kernel.git import unquote_path

FILES = {
    "src/app/a.py": "from app import b\n",
    "src/app/b.py": "",
    "src/app/c.py": "",
    "tests/test_c.py": "import app.c\n",
    "ünïcode/日本.py": "",
    "repomesh.toml": """
[merge]
append_only = ["src/app/b.py"]
[[checks]]
name = "t"
command = "make test"
paths = ["tests/**"]
""",
}


@pytest.fixture
def project(shell: Shell) -> Shell:
    for name, text in FILES.items():
        path = shell.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(shell.folder, "add", ".")
    git(shell.folder, "commit", "-qm", "Files")
    return shell


def test_a_list_of_files_is_planned_without_a_server(project: Shell) -> None:
    (project.folder / "list").write_text("src/app/c.py\n\ntests/test_c.py\r\nsrc/app/new.py\n")
    plan = project.ok("plan", "--files", "list")
    assert {check for task in plan["tasks"] for check in task["checks"]} == {"make test"}
    assert sorted(path for task in plan["tasks"] for path in task["files"]) == [
        "src/app/c.py",
        "tests/test_c.py",
    ]
    assert [path for task in plan["tasks"] for path in task["new_files"]] == ["src/app/new.py"]
    assert not project.data.exists()


def test_standard_input_patterns_and_typed_paths(project: Shell) -> None:
    plan = project.ok("plan", "--files", "-", stdin="src/app/*.py\n")
    assert [item["reason"] for item in plan["shared"]] == ["configured as append-only"]
    inside = project.at(project.folder / "src" / "app")
    assert inside.ok("plan", "c.py", "../../tests/test_c.py")["tasks"][0]["files"] == [
        "src/app/c.py",
        "tests/test_c.py",
    ]
    assert project.ok("plan", "ünïcode/日本.py")["tasks"][0]["files"] == ["ünïcode/日本.py"]


def test_names_as_git_prints_them(project: Shell) -> None:
    listed = git(project.folder, "ls-files", "ünïcode")
    assert listed.startswith('"')
    assert project.ok("plan", "--files", "-", stdin=listed)["tasks"][0]["files"] == ["ünïcode/日本.py"]


def test_a_table_and_a_summary(project: Shell) -> None:
    done = project("plan", "src", "tests")
    assert done.code == 0
    assert done.out.splitlines()[0].split("\t") == ["key", "files", "lines", "tokens", "waits_for", "goal"]
    assert "100% independent; tokens are estimated as characters / 4." in done.err
    assert "append-only: src/app/b.py" in done.err


def test_limits_can_be_chosen(project: Shell) -> None:
    plan = project.ok("plan", "src/app/c.py", "tests/test_c.py", "--files-max", "1")
    assert [task["dependencies"] for task in plan["tasks"]] == [[], [plan["tasks"][0]["key"]]]
    assert plan["task_limits"]["files_max"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "the files of the request are missing"),
        (("--files", "nothing"), "--files: nothing: No such file"),
        (("--files", "src"), "--files: src: Is a directory"),
        (("--files", "-"), "the list of files is empty"),
        (("../outside.py",), "lies outside"),
        ((".git/config",), "lies in .git or .repomesh"),
        (("**",), "holds files everywhere"),
        (("a.py", "--files-max", "0"), "files-max"),
        (("src", "--tasks-max", "1", "--files-max", "1"), "makes"),
    ],
)
def test_mistakes(project: Shell, words: tuple[str, ...], message: str) -> None:
    done = project("plan", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "hint: " in done.err
    assert project("plan", *words, "--json").code == 2


def test_outside_of_a_repository(tmp_path: Path) -> None:
    done = Shell(tmp_path)("plan", "a.py", "--json")
    assert (done.code, done.out) == (2, "")
    assert '"no_repository"' in done.err


def test_links_fifos_and_unusual_names_break_nothing(shell: Shell) -> None:
    (shell.folder / "link.py").symlink_to("/etc/passwd")
    os.mkfifo(shell.folder / "fifo.py")
    (shell.folder / os.fsdecode(b"bad\xff.py")).write_text("import link")
    (shell.folder / 'new\nline "quoted".py').write_text("")
    git(shell.folder, "add", "link.py")
    read = file_reader(shell.folder)
    assert [read("link.py"), read("fifo.py"), read("nothing"), read("a\0b")] == [None] * 4
    assert {"link.py", "bad\udcff.py", 'new\nline "quoted".py'} <= set(list_files(shell.folder))
    assert shell.ok("plan", "link.py")["notes"] == [
        "Not read, since they are no regular files or can't be read: link.py"
    ]


def test_lists_are_read_as_git_writes_them() -> None:
    assert unquote_path(b'"a\\tb\\"\\\\\\303\\251"') == b'a\tb"\\\xc3\xa9'
    assert unquote_path(b'"') == b'"'
    assert read_list(b'a b\n\n"\\377"\r\n') == ["a b", "\udcff"]


def test_help_loads_nothing_of_planning() -> None:
    code = (
        "import sys; from repomesh.cli import main; sys.argv = ['repomesh', '--help']\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        "assert not [name for name in sys.modules if 'planning' in name or 'tree_sitter' in name]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
