"""Targets: what is in `.hypervisor/` and the user's notes on it, ours and spoilt, or planted."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from pathlib import Path

import bend
import canary
import odd
from program import GOOD, command, hook, opened, some

SESSION = "11111111-2222-3333-4444-555555555555"
_PROMPT = {"session_id": SESSION, "hook_event_name": "UserPromptSubmit", "prompt": "go on"}
_ABOUT = (
    ("status",), ("status", "q", "--json"), ("summary", "q"), ("summary", "q", "--json"),
    ("show", "a"), ("show", "b", "--json"), ("log", "q"), ("log", "q", "--json"), ("plan", "q"),
    ("next", "q", "--worker", "v"), ("wait", "q", "--timeout", "0"), ("retry", "q", "--failed"),
    ("expire",), ("undo", "q"), ("pause", "q"), ("resume", "q"), ("cancel", "q"), ("prune",),
    ("open", "q", "a.md", "b.md"), ("unlock", "a"), ("report", "q"), ("adopt", "--yes"),
    ("preflight", "."),
)  # fmt: skip


def ledgers(root: Path, rng: random.Random) -> None:
    """A ledger of ours that somebody has written to: bytes, tables or values are not as we left
    them."""
    token = opened(root)
    path = root / ".hypervisor" / "ledger.db"
    rng.choice((bend.bytes_of, bend.schema, bend.values, bend.values, bend.values))(path, rng)
    ends = (
        ("done", token, "--summary", "s"), ("block", token, "--reason", "r"),
        ("fail", token, "--reason", "r"), ("release", token), ("heartbeat", token),
    )  # fmt: skip
    for words in some(rng, rng.choice(ends), *_ABOUT, count=5):
        command(*words)
    hook(root, "UserPromptSubmit", json.dumps(_PROMPT | {"cwd": str(root)}))


def planted(root: Path, rng: random.Random) -> None:
    """A folder of state that another user made, with links in it: refused, and left as it is."""
    home = os.environ["HYPERVISOR_STATE"]
    os.environ["HYPERVISOR_STATE"] = f"{home}-of-another"
    try:
        opened(root)
        command("triage", ".")
    finally:
        shutil.rmtree(os.environ["HYPERVISOR_STATE"], ignore_errors=True)
        os.environ["HYPERVISOR_STATE"] = home
    state = root / ".hypervisor"
    ledger = state / "ledger.db"
    if rng.random() < 0.5:
        # As the first release left it, and as a clone brings it: in another file than it notes.
        (state / "id").unlink()
        shutil.copy(ledger, state / "copy")
        (state / "copy").rename(ledger)
    rng.choice((bend.bytes_of, bend.schema, bend.values))(ledger, rng)
    for _ in range(rng.randrange(4)):
        path = state / rng.choice((
            "undo", "outputs", "live", "reports", "live/1", "outputs/x", "undo/q", "hook-error.txt",
            "ledger.lock", "task-index.json", "store", "id", "ledger.db-wal", "locks",
        ))  # fmt: skip
        if path.parent.is_dir() and not path.parent.is_symlink():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(True)
            path.symlink_to(
                rng.choice(("../../near", "../../outside.md", "../a.md", "/etc/passwd"))
            )
    state.chmod(rng.choice((0o700, 0o755)))
    before = canary.look(state)
    # A person may take it over; that is asked of `adopt` alone.
    for words in some(rng, *(one for one in _ABOUT if one[0] != "adopt"), count=6):
        command(*words)
    hook(root, "UserPromptSubmit", json.dumps(_PROMPT | {"cwd": str(root)}))
    told = canary.changed(before, canary.look(state))
    assert not told, f"a stranger's state was written to: {told}"


def journals(root: Path, rng: random.Random) -> None:
    """An undo journal: spoilt, unsealed, or sealed over a file that is not of the project."""
    from hypervisor.system.state import State
    from hypervisor.tasks.undo import UndoLog
    from hypervisor.tasks.undo_packs import digest

    opened(root)
    state = State.find(str(root))
    assert state is not None
    folder = root / ".hypervisor" / "undo" / "q"
    log = UndoLog(state, "q")
    paths = ("a.md", "../outside.md", "../near/key", "sub/../../near/key", "in",
             "../near/link", str(root.parent / "outside.md"))  # fmt: skip
    (root / "sub").mkdir()
    (root / "in").symlink_to("../near/key")
    lines = []
    for _ in range(rng.randrange(1, 5)):
        path = rng.choice(paths)
        now = (root / path).read_bytes()
        entry = {
            "at": 1, "id": "a", "path": path, "before": "overwritten\n",
            "was": digest(b"overwritten\n"), "after": digest(now),
        }  # fmt: skip
        told = entry if rng.random() < 0.5 else odd.bent(rng, entry)
        if isinstance(told, dict) and rng.random() < 0.7:
            lines.append(log.packs._sealed(told))
        else:
            lines.append(json.dumps(told).encode() + b"\n")
    pack = folder / "20990101-0.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    raw = b"".join(lines)
    pack.write_bytes(odd.spoilt(rng, raw, odd.text(rng)) if rng.random() < 0.3 else raw)
    if rng.random() < 0.5:
        notes = Path(os.environ["HYPERVISOR_STATE"], "projects", state.id)
        (notes / "unsealed").write_text(f"q/{pack.name} {len(raw)}\n")
    for words in (("undo", "q"), ("undo", "q", "a"), ("undo", "q", "--json"), ("prune",)):
        command(*words)


def notes(root: Path, rng: random.Random) -> None:
    """All other files of the state, and the user's own notes on the project."""
    token = opened(root)
    command("triage", "a.md")
    hook(root, "UserPromptSubmit", json.dumps(_PROMPT | {"cwd": str(root)}))
    of_user = Path(os.environ["HYPERVISOR_STATE"])
    found = [
        path
        for top in (root / ".hypervisor", of_user)
        for path in sorted(top.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode) and not path.name.startswith("ledger.db")
    ]
    more = ("store", "task-index.json", "hook-error.txt", "protected-1", "live/1", "outputs/x")
    for _ in range(rng.choice((1, 1, 3))):
        path = rng.choice((*found, *(root / ".hypervisor" / name for name in more)))
        path.parent.mkdir(exist_ok=True)
        raw = path.read_bytes() if path.is_file() and path.stat().st_size < odd.LARGEST else b"{}"
        odd.put(
            path,
            rng,
            rng.choice((odd.spoilt(rng, raw, odd.text(rng)), odd.text(rng), _json(rng, raw))),
        )
    for words in some(rng, ("done", token, "--summary", "s"), *_ABOUT, count=5):
        command(*words)
    hook(root, "Stop", json.dumps(_PROMPT | {"cwd": str(root), "hook_event_name": "Stop"}))
    _server(root)


def _json(rng: random.Random, raw: bytes) -> bytes:
    try:
        return odd.json_text(rng, json.loads(raw)).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return odd.text(rng)


def _server(root: Path) -> None:
    """Start as the MCP server does, from the index that an earlier one kept."""
    from hypervisor.intake.index import TaskIndex

    index = TaskIndex(str(root))
    index.refresh()
    index.save()


_EVENTS = (
    "SessionStart", "UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "PermissionRequest",
    "SubagentStop", "StopFailure", "Stop", "SessionEnd", "BeforeAgent", "AfterTool", "AfterAgent",
    "PreCompress", "Notification", "x",
)  # fmt: skip


def events(root: Path, rng: random.Random) -> None:
    """What a client says to a hook, in other shapes than its own."""
    token = opened(root)
    (root / "good.md").write_text(GOOD)
    transcript = root / "t.jsonl"
    rows = [
        {"type": "queue-operation", "content": "<task-notification><task-id>g</task-id>"
         "<status>failed</status><summary>x</summary></task-notification>"},
        {"type": "assistant", "message": {"model": "<synthetic>", "content": [{"text": "y"}]}},
    ]  # fmt: skip
    transcript.write_text("\n".join(json.dumps(odd.bent(rng, one)) for one in rows))
    outputs = (f"claim {token}\nitem: b", "queue q: 4 items added", odd.line(rng))
    for _ in range(4):
        told = {
            "session_id": SESSION, "cwd": str(root), "transcript_path": str(transcript),
            "agent_id": rng.choice(("", "g")), "agent_transcript_path": str(transcript),
            "tool_name": rng.choice(("Bash", "Agent", "TaskStop", "run_shell_command", "Edit")),
            "tool_input": {"command": "hypervisor next q", "prompt": "queue q", "url": "a.md"},
            "tool_response": {
                "stdout": rng.choice(outputs), "agentId": "g", "task_id": "g",
                "llmContent": [{"text": rng.choice(outputs)}], "returnDisplay": "x",
            },
            "permission_suggestions": [{"rules": [{"toolName": "Bash", "ruleContent": "ls:*"}]}],
            "error": rng.choice(("rate_limit", "x")), "last_assistant_message": "limit reached",
            "stop_hook_active": False, "source": "clear", "reason": "clear", "prompt": "go on",
            "timestamp": "2026-01-01",
        }  # fmt: skip
        for name in rng.sample(sorted(told), rng.randrange(4)):
            del told[name]
        payload = {name: odd.bent(rng, value, 0.1) for name, value in told.items()}
        if rng.random() < 0.9:
            payload["session_id"], payload["cwd"] = SESSION, str(root)
        raw = json.dumps(payload) if rng.random() < 0.95 else odd.json_text(rng, told)
        hook(root, rng.choice(_EVENTS), raw)
