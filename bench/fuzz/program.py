"""The program as the targets call it: in this process, its output caught."""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
from pathlib import Path

GOOD = "---\nid: good\ntitle: Good\nstatus: active\n---\nx\n"


class Traceback(AssertionError):
    """A hook kept an error that it had no words for."""


def command(*words: str) -> str:
    """Run a command line and return what it printed; nothing on standard input."""
    from hypervisor.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main(list(words))
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    assert code in (0, 1, 2, 3, 4, 5), f"{words}: exit code {code}"
    return out.getvalue()


def hook(root: Path, event: str, payload: str) -> None:
    """Have a client's event handled; raise Traceback if it kept an error of ours."""
    from hypervisor.agents import hooks

    raw = payload.encode("utf-8", "surrogatepass")
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(raw))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            hooks.run(event)
    finally:
        sys.stdin = stdin
    kept = root / ".hypervisor" / "hook-error.txt"
    if kept.is_file() and not kept.is_symlink() and kept.stat().st_size < 1 << 20:
        told = kept.read_text(errors="replace")
        kept.unlink()
        last = told.rstrip().rpartition("\n")[2]
        if "Traceback" in told and not last.startswith(("hypervisor.", "sqlite3.", "OSError")):
            raise Traceback(f"{event}: {told}")


def opened(root: Path) -> str:
    """Open the queue `q` over four tasks, one of them done, one at work; return its claim."""
    for name in "abcd":
        (root / f"{name}.md").write_text(f"---\nid: {name}\ntitle: T\nstatus: active\n---\nx\n")
    command("open", "q", "a.md", "b.md", "c.md", "d.md")
    first = json.loads(command("next", "q", "--worker", "w", "--json"))["claims"][0]["token"]
    command("done", first, "--summary", "did it")
    second: str = json.loads(command("next", "q", "--worker", "w", "--json"))["claims"][0]["token"]
    return second


def some(rng: random.Random, *of: tuple[str, ...], count: int = 4) -> list[tuple[str, ...]]:
    """Return some of the command lines `of`, in some order."""
    return rng.sample(of, min(count, len(of)))
