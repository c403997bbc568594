"""Plugins made for one test, copies of the plugin under test, and lost notifications.

Nothing here knows what hypervisor does: only how Claude Code's plugins are laid out.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.model import Model

# Known to every supported version; 2.1.197 refuses a whole hooks.json for one unknown event.
EVENTS = (
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "PermissionRequest",
    "PermissionDenied",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "StopFailure",
    "Notification",
)
_NOT_COPIED = (
    ".git",
    ".hypervisor",
    ".venv",
    "node_modules",
    "__pycache__",
    "*.pyc",
    ".*_cache",
    ".bench-*",
)


def write_plugin(
    folder: Path,
    *,
    name: str = "",
    commands: Mapping[str, str] | None = None,
    skills: Mapping[str, str] | None = None,
    agents: Mapping[str, str] | None = None,
    hooks: Mapping[str, str] | None = None,
    bin: Mapping[str, str] | None = None,
    monitors: list[dict[str, str]] | None = None,
) -> Path:
    """Write a plugin (named like its folder unless told) and return the folder.

    commands, skills, agents: name → Markdown with front matter. hooks: event → shell command.
    bin: name → text of an executable.
    """
    name = name or folder.name
    manifest = {
        "name": name,
        "version": "0.1.0",
        "description": "for a test",
        "author": {"name": "tests"},
    }
    _write(folder / ".claude-plugin/plugin.json", json.dumps(manifest))
    for kind, files in (("commands", commands), ("agents", agents)):
        for key, body in (files or {}).items():
            _write(folder / kind / f"{key}.md", body)
    for key, body in (skills or {}).items():
        _write(folder / "skills" / key / "SKILL.md", body)
    for key, body in (bin or {}).items():
        _write(folder / "bin" / key, body).chmod(0o755)
    if hooks:
        table = {
            event: [{"hooks": [{"type": "command", "command": command, "timeout": 60}]}]
            for event, command in hooks.items()
        }
        _write(folder / "hooks/hooks.json", json.dumps({"hooks": table}, indent=1))
    if monitors:
        _write(folder / "monitors/monitors.json", json.dumps(monitors))
    return folder


def copy_plugin(source: Path, target: Path) -> Path:
    """A copy of a plugin's folder as a user would have it: without `.git`, caches and state."""
    ignore = shutil.ignore_patterns(*_NOT_COPIED)
    shutil.copytree(source, target, symlinks=True, ignore=ignore)
    return target


# --- what the hooks see ----------------------------------------------------------------------


@dataclass(frozen=True)
class HookCall:
    event: str
    at: float  # Unix time
    payload: dict[str, Any]
    env: dict[str, str]

    @property
    def agent(self) -> str:
        """The worker that it is about; empty for the main conversation."""
        return str(self.payload.get("agent_id") or "")


_RECORDER = """
import json, os, sys, time
event, payload = sys.argv[1], json.load(sys.stdin)
row = {"event": event, "at": time.time(), "payload": payload, "env": dict(os.environ)}
with open(sys.argv[2], "a") as log:
    log.write(json.dumps(row) + "\\n")
try:
    answers = json.load(open(sys.argv[2] + ".answers"))
except FileNotFoundError:
    answers = {}
about = "worker" if payload.get("agent_id") else "main"
queue = answers.get(event + ":" + about) or []
calls = [json.loads(line) for line in open(sys.argv[2])]
count = sum(
    c["event"] == event and bool(c["payload"].get("agent_id")) == (about == "worker")
    for c in calls
)
if count <= len(queue) and queue[count - 1] is not None:
    print(json.dumps(queue[count - 1]))
"""


class Recorder:
    """A plugin that writes down every hook call, and answers as told; load it beside another."""

    def __init__(self, folder: Path, events: Iterable[str] = EVENTS) -> None:
        self._log = folder.parent / (folder.name + ".jsonl")
        script = folder / "record.py"
        python = [sys.executable, "-I", str(script)]
        hooks = {event: shlex.join([*python, event, str(self._log)]) for event in events}
        self.plugin = write_plugin(folder, hooks=hooks)
        _write(script, _RECORDER)

    def answer(self, event: str, *answers: dict[str, Any] | None, about: str = "main") -> None:
        """What the first, second … call of this event prints; about: "main" or "worker"."""
        path = Path(str(self._log) + ".answers")
        table = json.loads(path.read_text()) if path.exists() else {}
        _write(path, json.dumps({**table, f"{event}:{about}": answers}))

    @property
    def calls(self) -> list[HookCall]:
        return [HookCall(**row) for row in _rows(self._log)]

    def of(self, event: str, agent: str | None = None) -> list[HookCall]:
        """The calls of one event, in order; of one agent if given ("" is main)."""
        return [c for c in self.calls if c.event == event and agent in (None, c.agent)]


# --- lost notifications ----------------------------------------------------------------------

# A worker's notice as it stands in a hook's payload; monitor events and prompts do not match.
_NOTICE = "*'<task-notification>'*'<summary>Agent '*|*'[Subagent hand-back]'*"

_DROP = f"""#!/bin/sh
payload=$(cat)
case $payload in
{_NOTICE})
    printf '%s\\n' "$payload" >>"$1"
    echo '{{"decision": "block", "reason": "lost in a test"}}'
esac
"""

_DEAF = f"""#!/bin/sh
payload=$(cat)
case $payload in
{_NOTICE}) exit 0 ;;
esac
printf '%s\\n' "$payload" | sh -c "$1"
"""


class Dropper:
    """A plugin that blocks every worker's notice. See `lost_notices`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder.parent / (folder.name + ".jsonl")
        script = _write(folder / "drop.sh", _DROP)
        command = shlex.join(["sh", str(script), str(self._log)])
        self.plugin = write_plugin(folder, hooks={"UserPromptSubmit": command})

    @property
    def dropped(self) -> list[str]:
        """The notices that were dropped, as text."""
        return [row["prompt"] for row in _rows(self._log)]


def lost_notices(model: Model, plugins: Sequence[Path], folder: Path) -> list[Path]:
    """The plugins to load instead of these, so that no worker's notice reaches anybody.

    Three things together: a hook blocks the notices, so that they start no turn; the plugins'
    own hook does not see them; and those which reach a model in mid-turn (2.1.197 puts them in
    without asking any hook) are cut out before the scripted model sees the request.
    """
    model.loses_notices = True
    return [
        *(deafened(plugin, folder / f"deaf {plugin.name}") for plugin in plugins),
        Dropper(folder / "dropper").plugin,
    ]


def deafened(source: Path, target: Path) -> Path:
    """A copy of a plugin whose own UserPromptSubmit hook does not see workers' notices either.

    In a real loss nobody sees the notice. The wrapper reads the payload, ends silently for a
    worker's notice, and hands everything else to the plugin's own command.
    """
    copy_plugin(source, target)
    path = target / "hooks/hooks.json"
    if not path.exists():
        return target
    table = json.loads(path.read_text())
    script = _write(target / "hooks/deaf.sh", _DEAF)
    for group in table["hooks"].get("UserPromptSubmit", []):
        for hook in group["hooks"]:
            own = hook["command"]
            if "args" in hook:
                own = " ".join([_quoted(own), *map(_quoted, hook.pop("args"))])
            hook["command"] = f"sh {shlex.quote(str(script))} {shlex.quote(own)}"
    path.write_text(json.dumps(table))
    return target


def _quoted(word: str) -> str:
    # ${CLAUDE_PLUGIN_ROOT} must stay open to substitution.
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`") + '"'


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + f".{os.getpid()}")
    half.write_text(body)
    half.rename(path)
    return path
