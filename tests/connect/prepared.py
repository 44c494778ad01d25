"""Settings files as people have them: each with its CLI, its place and its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PreparedStatement:
    """A settings file that stood there before."""

    name: str
    cli: str
    path: str
    content: bytes


MCP = "project/.mcp.json"
LOCAL = "project/.claude/settings.local.json"
TOML = "home/.codex/config.toml"
HOOKS = "home/.codex/hooks.json"
GEMINI = "home/.gemini/settings.json"
COPILOT = "home/.copilot/mcp-config.json"
OWN = "home/.copilot/hooks/repomesh.json"
QWEN = "project/.qwen/settings.json"
OPEN = "project/opencode.json"
OPEN_COMMENTED = "project/opencode.jsonc"

_OTHER_HOOK = '{"matcher": "Bash", "hooks": [{"type": "command", "command": "lint \\"$1\\""}]}'


def _json(name: str, cli: str, path: str, text: str) -> PreparedStatement:
    return PreparedStatement(name, cli, path, text.encode())


GOOD = (
    PreparedStatement("empty", "claude", MCP, b""),
    PreparedStatement("blanks", "claude", LOCAL, b"  \n\t\n"),
    PreparedStatement("mark-alone", "qwen", QWEN, b"\xef\xbb\xbf"),
    _json("empty-object", "claude", MCP, "{}"),
    _json("empty-object-newline", "claude", LOCAL, "{}\n"),
    _json("open-empty-object", "qwen", QWEN, "{\n}\n"),
    _json("empty-servers", "claude", MCP, '{ "mcpServers": {} }\n'),
    _json("empty-servers-on-lines", "claude", MCP, '{\n  "mcpServers": {\n  }\n}'),
    _json("one-line", "claude", MCP, '{"mcpServers":{"db":{"command":"db-mcp","args":["--x"]}}}'),
    _json(
        "other-server",
        "claude",
        MCP,
        '{\n  "mcpServers": {\n    "db": {\n      "command": "db"\n    }\n  }\n}\n',
    ),
    _json(
        "tabs",
        "qwen",
        QWEN,
        '{\n\t"ui": {\n\t\t"theme": "dark"\n\t},\n\t"mcpServers": {\n\t\t"a": {}\n\t}\n}\n',
    ),
    _json("seven-blanks", "gemini", GEMINI, '{\n       "security": {\n              "x": 1\n       }\n}\n'),
    _json("ragged", "claude", LOCAL, '{\n "a": 1,\n      "b": {"c":\n[1,\n 2]},\n   "hooks":{}\n  }\n\n\n'),
    _json("windows", "claude", MCP, '{\r\n  "mcpServers": {\r\n    "db": {"command": "db"}\r\n  }\r\n}\r\n'),
    _json("windows-tabs", "gemini", GEMINI, '{\r\n\t"hooks": {\r\n\t\t"AfterTool": []\r\n\t}\r\n}'),
    _json("mixed-ends", "qwen", QWEN, '{\n  "a": 1,\r\n  "b": 2\n}\r\n'),
    PreparedStatement(
        "marked", "claude", LOCAL, b'\xef\xbb\xbf{\r\n  "permissions": {"allow": ["Bash(ls)"]}\r\n}\r\n'
    ),
    _json(
        "line-comments",
        "opencode",
        OPEN_COMMENTED,
        '// mine\n{\n  // servers\n  "mcp": {\n    // none yet\n  }\n}\n',
    ),
    _json("comment-behind", "gemini", GEMINI, '{\n  "a": 1 // the last one\n  // and an end\n}\n// after\n'),
    _json(
        "block-comments",
        "qwen",
        QWEN,
        '/* a\n b */{ /* c */ "x": /* d */ 1 /* e */ , /* f */ "y": 2 /* g */ }',
    ),
    _json(
        "trailing-commas",
        "opencode",
        OPEN,
        '{\n  "mcp": {\n    "a": {"type": "local", "command": ["a"],},\n  },\n}\n',
    ),
    _json(
        "comment-like-texts",
        "claude",
        MCP,
        '{"mcpServers": {"a": {"command": "x // y /* z", "args": ["}", "\\""]}}}',
    ),
    _json(
        "other-hooks",
        "claude",
        LOCAL,
        '{\n  "hooks": {\n    "PostToolUse": [\n      ' + _OTHER_HOOK + "\n    ]\n  }\n}\n",
    ),
    _json("other-hooks-on-a-line", "codex", HOOKS, '{"hooks":{"Stop":[' + _OTHER_HOOK + "]}}"),
    _json(
        "empty-hook-lists",
        "codex",
        HOOKS,
        '{\n    "hooks": {\n        "Stop": [],\n        "PostToolUse": [ ]\n    }\n}\n',
    ),
    _json(
        "other-events",
        "gemini",
        GEMINI,
        '{"hooks": {"BeforeModel": [' + _OTHER_HOOK + ']}, "hooksConfig": {}}\n',
    ),
    _json(
        "approved-others",
        "claude",
        LOCAL,
        '{\n  "enabledMcpjsonServers": ["db", "web"],\n  "model": "x"\n}\n',
    ),
    _json("approved-ours", "claude", LOCAL, '{\n  "enabledMcpjsonServers": ["repomesh"]\n}\n'),
    _json(
        "unicode",
        "qwen",
        QWEN,
        '{\n  "größe": "\u2028 \\u00e9 🎉",\n  "mcpServers": {"日本": {"command": "é"}}\n}\n',
    ),
    _json(
        "twice-the-name", "claude", MCP, '{"mcpServers": {"a": {}}, "mcpServers": {"b": {"command": "b"}}}'
    ),
    _json("deep", "qwen", QWEN, '{"a":' + "[" * 60 + '{"b":{}}' + "]" * 60 + "}"),
    _json(
        "numbers", "gemini", GEMINI, '{"a": -0.5e+10, "b": 12345678901234567890, "c": [true, false, null]}\n'
    ),
    _json(
        "no-newline-at-the-end", "copilot", COPILOT, '{\n  "mcpServers": {\n    "a": {"command": "a"}\n  }\n}'
    ),
    _json("own-file-of-hooks", "copilot", OWN, '{\n  "version": 1,\n  "hooks": {"sessionStart": []}\n}\n'),
    _json(
        "by-hand",
        "claude",
        MCP,
        '{\n  "mcpServers": {\n    "repomesh": {\n      "command": "repomesh",\n'
        '      "args": ["mcp", "--agent", "alice"]\n    },\n    "z": {}\n  }\n}\n',
    ),
    _json(
        "somebody-elses-repomesh",
        "qwen",
        QWEN,
        '{"mcpServers": {"repomesh": {"command": "other-thing"}}, "k": 1}\n',
    ),
    _json(
        "long",
        "gemini",
        GEMINI,
        "{\n" + "".join(f'  "key{n}": "{n}",\n' for n in range(3_000)) + '  "end": 0\n}\n',
    ),
    _json("toml-empty", "codex", TOML, ""),
    _json("toml-blanks", "codex", TOML, "\n\n"),
    _json("toml-comment", "codex", TOML, "# only this"),
    _json("toml-no-newline", "codex", TOML, 'model = "x"'),
    _json("toml-other-server", "codex", TOML, '[mcp_servers.db]  # mine\ncommand = "db"\n\n# the end\n'),
    _json("toml-windows", "codex", TOML, 'model = "x"\r\n\r\n[mcp_servers.db]\r\ncommand = "db"\r\n'),
    PreparedStatement("toml-marked", "codex", TOML, b'\xef\xbb\xbfmodel = "x"\n'),
    _json("toml-dotted", "codex", TOML, 'mcp_servers.db.command = "db"\nmcp_servers.db.args = ["x"]\n'),
    _json(
        "toml-inline",
        "codex",
        TOML,
        'mcp_servers = { db = { command = "db", args = ["}"] } }\n[tui]\nx = 1\n',
    ),
    _json("toml-inline-empty", "codex", TOML, "mcp_servers = {}  # none\n"),
    _json(
        "toml-arrays-of-tables",
        "codex",
        TOML,
        '[[rules]]\nname = "a"\n\n[[rules]]\nname = "b"\n[rules.more]\nx = 1\n',
    ),
    _json("toml-in-a-text", "codex", TOML, 'notes = """\n[mcp_servers.repomesh]\ncommand = "no"\n"""\n[a]\n'),
    _json(
        "toml-quoted",
        "codex",
        TOML,
        '[projects."/home/x/a.b"]\ntrust_level = "trusted"\n[mcp_servers."a.b"]\nurl = \'u\'\n',
    ),
    _json(
        "toml-by-hand",
        "codex",
        TOML,
        '[mcp_servers.repomesh]\ncommand = "repomesh"\nargs = ["mcp"]\n\n'
        '[mcp_servers.repomesh.env]\nX = "1"\n\n[z]\na = 1\n',
    ),
    _json(
        "toml-kinds",
        "codex",
        TOML,
        "a = 1979-05-27T07:32:00Z\nb = 0x1F\nc = 1_000.5\nd = [\n  1, # one\n  2,\n]\ne = inf\n",
    ),
)

BROKEN = (
    _json("cut-off", "claude", MCP, '{\n  "mcpServers": {\n    "a": {'),
    _json("no-comma", "claude", LOCAL, '{\n  "a": 1\n  "b": 2\n}\n'),
    _json("no-colon", "qwen", QWEN, '{"a" 1}'),
    _json("two-documents", "gemini", GEMINI, "{}\n{}\n"),
    _json("bare-names", "qwen", QWEN, "{a: 1}"),
    _json("single-quotes", "copilot", COPILOT, "{'a': 1}"),
    _json("open-text", "claude", MCP, '{"a": "b\n}'),
    _json("open-comment", "opencode", OPEN, '{ /* "a": 1 }'),
    _json("too-deep", "qwen", QWEN, "[" * 100_000),
    _json("merge-marks", "codex", HOOKS, '{\n<<<<<<< HEAD\n  "a": 1\n=======\n  "a": 2\n>>>>>>> x\n}\n'),
    PreparedStatement("not-utf-8", "claude", MCP, b'{"a": "\xff\xfe"}'),
    PreparedStatement("utf-16", "gemini", GEMINI, '{"a": 1}'.encode("utf-16")),
    PreparedStatement("zeros", "claude", LOCAL, b"\x00" * 20),
    _json("toml-broken", "codex", TOML, '[mcp_servers.a\ncommand = "x"\n'),
    _json("toml-twice", "codex", TOML, "a = 1\na = 2\n"),
    _json("toml-is-json", "codex", TOML, '{"a": 1}\n'),
)

UNSUITABLE = (
    _json("a-list", "claude", MCP, "[]\n"),
    _json("nothing", "claude", LOCAL, "null\n"),
    _json("servers-a-list", "claude", MCP, '{"mcpServers": []}'),
    _json("hooks-off", "qwen", QWEN, '{"hooks": false}\n'),
    _json("event-an-object", "codex", HOOKS, '{"hooks": {"Stop": {}}}\n'),
    _json("approved-a-text", "claude", LOCAL, '{"enabledMcpjsonServers": "db"}'),
    _json("toml-servers-a-list", "codex", TOML, "[[mcp_servers]]\nx = 1\n"),
    _json("toml-servers-a-text", "codex", TOML, 'mcp_servers = "none"\n'),
)
