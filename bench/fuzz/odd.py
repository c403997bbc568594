"""Texts, JSON values and files as nobody would write them, each made by a random generator."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

# A file of this many bytes holds 70,000 rows at most: what takes long with it does more than read.
LARGEST = 1 << 20
PIECES = (
    "---\n", "id: a\n", "title: T\n", "status: active\n", "tags: [a, b]\n", "- [ ] box\n", "# H\n",
    "<<: *m\n", "&m ", "*m", "[", "]", "{", "}", "[[", "!!python/object:x ", "!!binary ", "? ",
    ": ", "- ", "|\n  ", ">\n", "'", '"', "\\", "\\u0000", "\\ud800", "\t", "\r", "\r\n", "\n\n",
    "\0", "\ufeff", "\u2028", "\u202e", "é", "😀", "9" * 400, "0x" + "f" * 300, "1:2:3",
    "2026-02-31", ".inf", "../..", "../outside.md", "../near/key", "/etc/passwd", "~", "..",
    "a" * 300, "a?" * 40, " " * 100, "<!-- ", "-->", "```\n", "<!-- hypervisor:report x -->\n",
    "## Closed\n", "depends_on: [a]\n", "parent: a\n", "log in to ", "website", "calendar ", ",",
    ";", "\n", "=", "[limits]\n", "workers = 3\n", "lease = '1s'\n", "[preflight.tools]\n",
    "x = ['^(a+)+$']\n", "project = 'x'\n", "[[families]]\n", "name = 'x'\n", "detect = ['id']\n",
    "fields = { id = 'title' }\n", "[triage]\n", "complexity = true\n", "[status]\n",
    "lock_folders = ['../..']\n", "ready = ['x']\n", "[project.'/']\n", "store = 'x'\n",
    '{"id": "a"}\n', '{"type": "assistant", "message": {"content": []}}\n', "null", "1e999", "NaN",
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
_WORDS: tuple[object, ...] = (
    None, [], {}, "", "x", "\0", "\ud800", 7, -1, 1.5, 1e300, 10**30, True, [None], [[]], {"a": []},
    "../outside.md",
)  # fmt: skip


def text(rng: random.Random) -> bytes:
    """Return a text made of pieces, or a sample that was cut, doubled and spliced."""
    if rng.random() < 0.4:
        parts = [rng.choice(PIECES) for _ in range(rng.randrange(1, 40))]
    else:
        parts = [rng.choice(_SAMPLES)]
        for _ in range(rng.randrange(1, 8)):
            whole = "".join(parts)
            at, end = sorted(rng.randrange(len(whole) + 1) for _ in range(2))
            parts = [whole[:at], rng.choice((rng.choice(PIECES), whole[at:end] * 2)), whole[end:]]
    if rng.random() < 0.1:
        parts[rng.randrange(len(parts))] *= rng.choice((10, 1_000, 50_000))
    raw = "".join(parts)[:LARGEST].encode("utf-8", "surrogatepass")
    return spoilt(rng, raw, rng.randbytes(rng.randrange(1, 9))) if rng.random() < 0.1 else raw


def line(rng: random.Random, longest: int = 300) -> str:
    """Return an odd text of at most `longest` characters."""
    return text(rng)[:longest].decode("utf-8", "replace")


def spoilt(rng: random.Random, raw: bytes, put: bytes) -> bytes:
    """Return `raw` with `put` written into it, or over it, or with its end cut off."""
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice((put + raw[at:], put + raw[at + len(put) :], put))


def bent(rng: random.Random, value: object, often: float = 0.08) -> object:
    """Return JSON values with something else in a few of their places."""
    if rng.random() < often:
        deep: object = []
        for _ in range(rng.choice((1, 300))):
            deep = [deep]
        return rng.choice((*_WORDS, deep))
    if isinstance(value, dict):
        return {key: bent(rng, one, often) for key, one in value.items()}
    if isinstance(value, list):
        return [bent(rng, one, often) for one in value]
    return value


def json_text(rng: random.Random, value: object) -> str:
    """Return bent JSON, now and then no JSON at all, or one that is nested without end."""
    kind = rng.random()
    if kind < 0.1:
        return line(rng)
    if kind < 0.13:
        return "[" * 100_000
    return json.dumps(bent(rng, value), ensure_ascii=rng.random() < 0.9)


def put(path: Path, rng: random.Random, raw: bytes | None = None) -> None:
    """Write `raw`, or an odd text, to `path`; now and then a link, a pipe or a large file."""
    kind = rng.random()
    if kind < 0.03 and path.is_symlink() | path.exists() and not path.is_dir():
        path.unlink()
    if kind < 0.01:
        places = ("/dev/zero", "/dev/null", "/etc/passwd", "..", "../outside.md", path.name)
        path.symlink_to(rng.choice(places))
    elif kind < 0.015:
        os.mkfifo(path)
    elif kind < 0.02:
        path.touch()
        os.truncate(path, rng.choice((1 << 20, 200 << 20, 1 << 40)))
    else:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # What an earlier round has laid: nothing is written through it.
            path.unlink()
        path.write_bytes(text(rng) if raw is None else raw)
