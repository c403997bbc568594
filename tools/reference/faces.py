"""The faces to clients: commands in a session, hooks, monitors, tools of the server, schemas."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from markup import code, table

from hypervisor.agents.clients import sender
from hypervisor.agents.hooks import HANDLERS, permission

REPO = Path(__file__).resolve().parents[2]


def session_commands() -> Iterator[str]:
    yield "## Commands in a session"
    rows = []
    for path in sorted(REPO.glob("skills/*/SKILL.md")):
        told = front_matter(path)
        words = f"/{told['name']} {told.get('argument-hint', '')}".strip()
        rows.append((code(words), "Claude Code", told["description"]))
    for path in sorted(REPO.glob("commands/*.md")):
        told = front_matter(path)
        words = f"/hypervisor:{path.stem} {told.get('argument-hint', '')}".strip()
        rows.append((code(words), "Claude Code", told["description"]))
    for path in sorted(REPO.glob("agents/*.md")):
        told = front_matter(path)
        rows.append((f"agent `hypervisor:{told['name']}`", "Claude Code", told["description"]))
    folder = REPO / "gemini" / "commands"
    for path in sorted(folder.rglob("*.toml")):
        name = path.relative_to(folder).with_suffix("").as_posix().replace("/", ":")
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        rows.append((code(f"/{name}"), "Gemini CLI", told["description"]))
    yield table(("Command", "Client", "Does"), rows)


def front_matter(path: Path) -> dict[str, Any]:
    import yaml

    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    return loaded


def hooks() -> Iterator[str]:
    """The events of all clients, with what their handlers say of themselves."""
    yield "## Hooks"
    rows = []
    for client, place, unit in (
        ("Claude Code", REPO / "hooks/hooks.json", 1),
        ("Gemini CLI", REPO / "gemini/hooks/hooks.json", 1000),
    ):
        for event, entries in json.loads(place.read_text(encoding="utf-8"))["hooks"].items():
            told = [hook for entry in entries for hook in entry["hooks"]]
            limit = ", ".join(f"{hook['timeout'] // unit} s" for hook in told)
            rows.append((code(event), client, limit, handled(event)))
    yield table(("Event", "Client", "Time limit", "Use"), rows)


def handled(event: str) -> str:
    """Return the first line of what the handler of an event says of itself."""
    name = same_event(event)
    if name == "PreToolUse":
        return first_line(permission.before_tool)
    if name not in HANDLERS:
        raise SystemExit(f"tools/reference: no handler of the event {event} is known")
    module, _, handler = HANDLERS[name].partition(".")
    return first_line(getattr(import_module(f"hypervisor.agents.hooks.{module}"), handler))


def first_line(handler: object) -> str:
    return str(inspect.getdoc(handler)).partition("\n\n")[0].replace("\n", " ")


def same_event(event: str) -> str:
    """Return the name by which the handlers know an event of any client."""
    return str(sender(event, {}).read(event, {})[0])


def monitors() -> Iterator[str]:
    yield "## Monitors"
    rows = [
        (code(one["name"]), code(one["command"]), code(one["when"]))
        for one in json.loads((REPO / "monitors/monitors.json").read_text(encoding="utf-8"))
    ]
    yield table(("Name", "Command", "Started"), rows)


def tools() -> Iterator[str]:
    """What the MCP server answers when it is asked for its tools."""
    yield "## Tools of the MCP server"
    yield "`hypervisor serve` is the server `task_manager`."
    for tool in sorted(ask_for_tools(), key=lambda tool: str(tool["name"])):
        yield f"### `{tool['name']}`"
        yield " ".join(tool["description"].split())
        shape = tool["inputSchema"]
        rows = [
            (code(name), kind(value), "required" if name in shape.get("required", ()) else
             code(json.dumps(value.get("default"), ensure_ascii=False)))
            for name, value in shape.get("properties", {}).items()
        ]  # fmt: skip
        if rows:
            yield table(("Argument", "Kind", "Default"), rows)


def kind(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(kind(one) for one in shape["anyOf"])
    name = str(shape.get("type", "anything"))
    return f"{name} of {kind(shape['items'])}" if shape.get("items") else name


def ask_for_tools() -> list[dict[str, Any]]:
    def call(number: int | None, method: str, **params: object) -> str:
        told: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
        return json.dumps(told if number is None else told | {"id": number})

    client = {"name": "reference", "version": "1"}
    hello = call(1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    lines = [hello, call(None, "notifications/initialized"), call(2, "tools/list")]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "hypervisor", "serve"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPO / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            answer = json.loads(line)
            if answer.get("id") == 2:
                process.stdin.close()
                process.wait()
                return list(answer["result"]["tools"])
    raise SystemExit("tools/reference: hypervisor serve did not answer")


def schemas() -> Iterator[str]:
    yield "## Schemas"
    yield "JSON schemas, in [`schemas/`](../schemas/)."
    rows = []
    for path in sorted(REPO.glob("schemas/*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        rows.append((f"[{path.name.removesuffix('.schema.json')}](../schemas/{path.name})",
                     told["title"]))  # fmt: skip
    yield table(("Schema", "Of"), rows)
