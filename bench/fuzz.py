"""Files as nobody would write them, given to what reads files of others: a bounded run.

    python bench/fuzz.py [--minutes 1] [--seed 1]

Each round writes one odd file into a project and has the program read it, in turns for each kind in
TARGETS. Counted are crashes (anything but an answer or a HypervisorError), hangs (more than LIMIT
seconds of processor time, or LIMIT_WALL of the clock) and writes (anything outside of the project
that is not as it was). A finding is printed with the seed and the round that make it again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "src"))

LIMIT, LIMIT_WALL = 5.0, 30.0
_PIECES = (
    "---\n", "id: a\n", "title: T\n", "status: active\n", "tags: [a, b]\n", "- [ ] box\n", "# H\n",
    "<<: *m\n", "&m ", "*m", "[", "]", "{", "}", "[[", "!!python/object:x ", "!!binary ", "? ",
    ": ", "- ", "|\n  ", ">\n", "'", '"', "\\", "\\u0000", "\\ud800", "\t", "\r", "\r\n", "\n\n",
    "\0", "\ufeff", "\u2028", "\u202e", "é", "😀", "9" * 400, "0x" + "f" * 300, "1:2:3",
    "2026-02-31", ".inf", "../..", "/etc/passwd", "~", "..", "a" * 300, "a?" * 40, " " * 100,
    "<!-- ", "-->", "```\n", "<!-- hypervisor:report x -->\n", "## Closed\n", "depends_on: [a]\n",
    "parent: a\n", "log in to ", "website", "calendar ", ",", ";", "\n", "=", "[limits]\n",
    "workers = 3\n", "lease = '1s'\n", "[preflight.tools]\n", "x = ['^(a+)+$']\n",
    "project = 'x'\n", "[[families]]\n", "name = 'x'\n", "detect = ['id']\n",
    "fields = { id = 'title' }\n", "[triage]\n", "complexity = true\n",
    "lock_folders = ['../..']\n", "[status]\n", "ready = ['x']\n", "[project.'/']\n",
    "store = 'x'\n", '{"id": "a"}\n', '{"type": "assistant", "message": {"content": []}}\n',
    "null", "1e999", "NaN",
)  # fmt: skip
_SAMPLES = (
    "---\nid: a\ntitle: Fix the bug\nstatus: active\ntype: task\ntags: [x]\ndepends_on: [b]\n"
    "---\n\n# Fix the bug\n\n- [ ] tests pass\n\n## Context\n\nLog in to the website.\n",
    "[limits]\nlease = '15m'\nworkers = 4\n[preflight]\nhumans = ['ada']\n[preflight.tools]\n"
    "x = ['\\bx\\b']\n[[families]]\nname = 'v'\ndetect = ['by']\nwords = { done = 'over' }\n",
    'id,title,files\n1,"a, b",x.py\n2,c,../y\n',
    '{"id": 1, "title": "a", "deep": [[1], {"b": null}]}\n{"id": 2}\n',
    '{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}\n'
    '{"type":"assistant","requestId":"r","message":{"id":"m","usage":{"output_tokens":3}}}\n',
    "a.md\n../outside.md\n/etc/passwd\nsub/..\n# b\na\n",
)
_TRANSCRIPTS: tuple[list[dict[str, object]], ...] = (
    [
        {"sessionId": "s", "projectHash": "p", "kind": "main"},
        {
            "id": "m", "type": "gemini", "content": "",
            "tokens": {"input": 9, "output": 6, "cached": 5, "thoughts": 4, "total": 20},
            "toolCalls": [{
                "name": "mcp_task_manager_claim_next_task", "status": "success",
                "result": [{"functionResponse": {"response": {"output": '{"task": {"id": "a"}}'}}}],
            }],
        },
    ],
    [
        {"type": "user", "message": {"content": [
            {"type": "tool_result", "content": [{"type": "text", "text": "claim 1-abcd"}]},
        ]}},
        {"type": "assistant", "requestId": "r", "message": {
            "id": "m", "model": "x", "stop_reason": "end_turn", "content": [{"text": "y"}],
            "usage": {"input_tokens": 1, "output_tokens": 3, "cache_read_input_tokens": 2},
        }},
    ],
)  # fmt: skip


class Hang(BaseException):
    """The target took too long."""


def odd(rng: random.Random) -> bytes:
    """Return a text made of pieces, or a sample that was cut, doubled and spliced."""
    if rng.random() < 0.4:
        parts = [rng.choice(_PIECES) for _ in range(rng.randrange(1, 40))]
    else:
        sample = rng.choice(_SAMPLES)
        parts = [sample]
        for _ in range(rng.randrange(1, 8)):
            text = "".join(parts)
            at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            parts = [text[:at], rng.choice((rng.choice(_PIECES), text[at:end] * 2)), text[end:]]
    if rng.random() < 0.1:
        parts[rng.randrange(len(parts))] *= rng.choice((10, 1_000, 50_000))
    raw = "".join(parts)[: 4 << 20].encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        place = rng.randrange(len(raw) + 1)
        raw = raw[:place] + rng.randbytes(rng.randrange(1, 9)) + raw[place:]
    return raw


def put(path: Path, rng: random.Random) -> None:
    """Write an odd file to `path`; now and then a link, a pipe or a large file stands there."""
    kind = rng.random()
    if kind < 0.01:
        path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/etc/passwd", "..", path.name)))
    elif kind < 0.015:
        os.mkfifo(path)
    elif kind < 0.02:
        path.touch()
        os.truncate(path, rng.choice((1 << 20, 200 << 20, 1 << 40)))
    else:
        path.write_bytes(odd(rng))


def command(*words: str) -> None:
    """Run a command line of the program in this process."""
    from hypervisor.cli import main

    try:
        main(list(words))
    except SystemExit as error:
        assert error.code in (0, 1, 2, 3, 4), error.code


def tasks(root: Path, rng: random.Random) -> None:
    """A task file among good ones: looked at, opened, triaged, undone."""
    from hypervisor.config.settings import load
    from hypervisor.preflight import check
    from hypervisor.sources import expand

    (root / "good.md").write_text("---\nid: good\ntitle: Good\nstatus: active\n---\n")
    put(root / "a.md", rng)
    settings = load(str(root))
    found = expand(["."], root=str(root), cwd=str(root), settings=settings)
    checked = check(found, root=str(root), settings=settings)
    json.dumps(checked.to_json())
    checked.lines()
    everything = [*checked.ready, *checked.held, *checked.skipped]
    assert "good.md" in {entry.path for entry in everything}, "the good file is lost"
    if rng.random() < 0.2:
        command("open", "q", ".")
        command("triage", ".")
        command("undo", "q")


def edits(root: Path, rng: random.Random) -> None:
    """A task file that is edited field by field, and one that is made anew."""
    from hypervisor.system.errors import HypervisorError
    from hypervisor.task_index import TaskIndex
    from hypervisor.task_writing import create, update

    put(root / "a.md", rng)
    index = TaskIndex(str(root))
    index.refresh()
    fields = {
        rng.choice(("title", "status", "tags", "parent", "project", "due")): odd(rng)[:300].decode(
            "utf-8", "replace"
        )
    }
    body = odd(rng).decode("utf-8", "replace") if rng.random() < 0.5 else ""
    for entry in list(index.entries()):
        with contextlib.suppress(HypervisorError):
            update(str(root), entry.path, entry.id or "", fields, index.settings, body=body)
    with contextlib.suppress(HypervisorError):
        create(index, {"title": "New", "type": "task"} | fields, body)


def settings(root: Path, rng: random.Random) -> None:
    """The project's settings, and now and then the user's."""
    (root / "good.md").write_text("---\nid: good\ntitle: Good\nstatus: active\n---\n")
    put(root / "hypervisor.toml", rng)
    if rng.random() < 0.3:
        own = Path(os.environ["XDG_CONFIG_HOME"], "hypervisor", "config.toml")
        own.parent.mkdir(parents=True, exist_ok=True)
        put(own, rng)
    command("preflight", ".", "--json")
    if rng.random() < 0.1:
        command("unlock", "good")


def rows(root: Path, rng: random.Random) -> None:
    """Tables, JSON lines and lists."""
    name = rng.choice(("r.csv", "r.tsv", "r.jsonl", "r.ndjson", "queue.txt", "x.list", "y.txt"))
    put(root / name, rng)
    (root / "do.txt").write_text("Do it.")
    verb = ("open", "q") if rng.random() < 0.2 else ("preflight",)
    more = rng.choice(([], ["--id", "id"], ["--where", "title=a"]))
    command(*verb, name, "a.md", "--instructions", "do.txt", *more)


def bent(rng: random.Random, value: object) -> object:
    """Return JSON values with something else in a few of their places."""
    if rng.random() < 0.08:
        deep: object = []
        for _ in range(rng.choice((1, 300))):
            deep = [deep]
        odd_ones: tuple[object, ...] = (None, [], {}, "x", "\0", 7, -1, 1e9, 10**30, True, [None])
        return rng.choice((*odd_ones, {"a": []}, deep))
    if isinstance(value, dict):
        return {key: bent(rng, one) for key, one in value.items()}
    if isinstance(value, list):
        return [bent(rng, one) for one in value]
    return value


def transcripts(root: Path, rng: random.Random) -> None:
    """What a client wrote of its agents."""
    from hypervisor import usage

    if rng.random() < 0.3:
        put(root / "t.jsonl", rng)
    else:
        rows = [bent(rng, one) for one in rng.choice(_TRANSCRIPTS) for _ in range(3)]
        (root / "t.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    with contextlib.suppress(OSError):
        usage.read_transcript(str(root / "t.jsonl"))
    usage.last_error(str(root / "t.jsonl"))


def journals(root: Path, rng: random.Random) -> None:
    """An undo journal and other files of the state that were spoilt."""
    (root / "a.md").write_text("---\nid: a\ntitle: A\nstatus: active\n---\nx\n")
    command("triage", "a.md")
    state = root / ".hypervisor"
    spoilt = [path for path in state.rglob("*") if path.is_file() and not path.is_symlink()]
    path = rng.choice(sorted(spoilt))
    raw = path.read_bytes()
    place = rng.randrange(len(raw) + 1)
    path.write_bytes(raw[:place] + odd(rng)[: rng.choice((8, 100, 10_000))] + raw[place + 4 :])
    for words in (("undo",), ("status",), ("undo", "triage"), ("preflight", ".")):
        command(*words)


TARGETS: tuple[Callable[[Path, random.Random], None], ...] = (
    tasks, edits, settings, rows, transcripts, journals,
)  # fmt: skip


def fingerprint(folder: Path, but: Path) -> dict[str, tuple[int, int, int]]:
    """Return how everything in `folder` looks that is not below `but`."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) != but]
        for name in names:
            seen = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
    return found


def one(
    number: int, seed: int, target: Callable[[Path, random.Random], None], box: Path
) -> tuple[str, float]:
    """Run one round; return what came of it and how long it took."""
    from hypervisor.system.errors import HypervisorError

    rng = random.Random(f"{seed}-{number}")
    root = box / "outer" / "project"
    root.mkdir(parents=True)
    (root / "hypervisor.toml").touch()
    (box / "outer" / "outside.md").write_text("---\nid: out\ntitle: Out\nstatus: active\n---\n")
    os.chdir(root)
    if target is settings:
        (root / "hypervisor.toml").unlink()
    before = fingerprint(box / "outer", root)
    began, cpu = time.monotonic(), time.process_time()
    told = "right"
    signal.setitimer(signal.ITIMER_REAL, LIMIT_WALL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            target(root, rng)
    except HypervisorError:
        told = "refused"
    except Hang:
        told = "HANG"
    except Exception:
        told = "CRASH"
        print(f"--- seed {seed} round {number} {target.__name__}\n{traceback.format_exc()}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    took = time.process_time() - cpu
    if told in ("right", "refused") and took > LIMIT:
        told = "HANG"
    if fingerprint(box / "outer", root) != before:
        told = "WRITE"
    if told in ("HANG", "WRITE"):
        wall = time.monotonic() - began
        print(
            f"--- seed {seed} round {number} {target.__name__}: {told}, {took:.1f} s, {wall:.1f} s"
        )
    return told, took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, help="make this one again, and no other")
    args = parser.parse_args()

    def late(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, late)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    until = time.monotonic() + args.minutes * 60
    told: dict[str, Counter[str]] = {target.__name__: Counter() for target in TARGETS}
    slowest = dict.fromkeys(told, 0.0)
    number = args.round or 0
    with tempfile.TemporaryDirectory(prefix="hv-fuzz-") as at:
        home = Path(at, "home")
        home.mkdir()
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = str(home)
        for name in [name for name in os.environ if name.startswith(("HYPERVISOR_", "GIT_"))]:
            del os.environ[name]
        while time.monotonic() < until:
            target = TARGETS[number % len(TARGETS)]
            box = Path(at, str(number))
            what, took = one(number, args.seed, target, box)
            told[target.__name__][what] += 1
            slowest[target.__name__] = max(slowest[target.__name__], took)
            os.chdir(at)
            shutil.rmtree(box)
            shutil.rmtree(home)
            home.mkdir()
            number += 1
            if args.round is not None:
                break
    print(f"{number} rounds in {args.minutes:g} min, seed {args.seed}\n")
    print("| read | rounds | refused as a whole | crashes | hangs | writes | slowest, s |")
    print("|---|---|---|---|---|---|---|")
    bad = 0
    for name, counts in told.items():
        odd_ones = [counts[what] for what in ("CRASH", "HANG", "WRITE")]
        bad += sum(odd_ones)
        row = (name, sum(counts.values()), counts["refused"], *odd_ones, f"{slowest[name]:.2f}")
        print("| " + " | ".join(map(str, row)) + " |")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
