"""Types the commands of a page into a shell, as a reader does, and compares what is shown."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
import tty
from pathlib import Path

from docs.pages import Block, agree, blocks, swap, tokens
from repository import REPO

# What moves the cursor of a terminal, or does something else that is not text.
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|[\r\n]")
# Said by whichever command is the first on a machine: not for a page to foresee.
_SETTING_UP = re.compile(r"hypervisor: (setting up its env|waiting for another process that is se)")


class Shell:
    """A bash with a terminal that is very wide, in the home of a reader who has nothing yet.

    `words` are those of the pages, each with what this machine has for it. A `fresh` machine shows
    how the program is set up. What is typed may take `patience` seconds.
    """

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        words: dict[str, str] | None = None,
        *,
        fresh: bool = False,
        patience: float = 170.0,
    ) -> None:
        self.home = home
        self._patience = patience
        self._fresh = fresh
        self._words = {"/path/to/hypervisor": str(REPO), "/home/you": str(home)} | (words or {})
        self._script = home.parent / "typed.sh"
        self._screen, theirs = pty.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        # So wide that no message is wrapped, whose paths are shorter on a page than here.
        termios.tcsetwinsize(theirs, (40, 1000))
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=home,
            env=environment | {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            text=True,
        )
        os.close(theirs)

    def type(self, text: str) -> tuple[list[str], int]:
        """Type `text`; return the lines that the terminal shows then, and the exit code: of the
        last command that failed, or 0."""
        for word, real in self._words.items():
            text = text.replace(word, real)
        self._script.write_text(text + "\n", encoding="utf-8")
        assert self._process.stdin is not None
        mark = f"typed-{time.monotonic_ns()}"
        self._process.stdin.write(
            f"failed=0; trap 'failed=$?' ERR; . {self._script} </dev/null; trap - ERR; "
            f"printf '{mark} %s.' $failed\n"
        )
        self._process.stdin.flush()
        shown, code = self._read(mark)
        lines = [line for line in on_screen(shown) if "━" not in line]
        if not self._fresh:
            lines = [line for line in lines if not _SETTING_UP.match(line)]
        return [self._as_told(line) for line in lines], code

    def _read(self, mark: str) -> tuple[str, int]:
        end = re.compile(rf"{mark} (\d+)\.".encode())
        seen, limit = b"", time.monotonic() + self._patience
        while (found := end.search(seen)) is None:
            ready, _, _ = select.select([self._screen], [], [], limit - time.monotonic())
            assert ready, f"no end after {self._patience:.0f} s: {seen.decode()}"
            seen += os.read(self._screen, 65536)
        return seen[: found.start()].decode(), int(found[1])

    def _as_told(self, line: str) -> str:
        """Put the words of the pages for what only this machine calls so."""
        for word, real in self._words.items():
            line = line.replace(real, word)
        return re.sub(rf"\b{re.escape(os.uname().nodename)}-\d+\b", "laptop-4711", line)

    def close(self) -> None:
        """End the shell."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        os.close(self._screen)


def on_screen(text: str) -> list[str]:
    """Return the lines that a terminal shows after `text`, which may go up and write over."""
    lines, row, column, at = [""], 0, 0, 0

    def write(words: str) -> None:
        nonlocal column
        lines[row] = lines[row][:column].ljust(column) + words + lines[row][column + len(words) :]
        column += len(words)

    for control in _CONTROL.finditer(text):
        write(text[at : control.start()])
        at = control.end()
        if control[0] == "\n":
            row, column = row + 1, 0
            lines += [""] * (row == len(lines))
        elif control[0] == "\r":
            column = 0
        elif control[2] == "A":
            row = max(0, row - int(control[1] or 1))
        elif control[2] == "K":
            lines[row] = "" if control[1] == "2" else lines[row][:column]
    write(text[at:])
    shown = [line.rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def follow(page: Path, shell: Shell, *, rewrite: bool) -> None:
    """Do what a page says, and fail at the first block that shows something else.

    With `rewrite` such a block is written anew into the page, unless it leaves lines out.
    """
    known: dict[str, str] = {}
    mended: list[tuple[Block, list[str]]] = []
    told = blocks(page)
    mine = tokens("\n".join(line for block in told for line in block.lines))
    for block, after in zip(told, [*told[1:], None], strict=True):
        where = f"{page.name}:{block.line}"
        if block.language != "sh":
            if block.rest:
                save(shell, block)
            continue
        if block.rest.startswith("not tried: "):
            continue
        wanted = re.fullmatch(r"(?:exit=(\d+))?", block.rest)
        assert wanted is not None, f"{where}: {block.rest!r} says nothing to the test"
        seen, code = shell.type(swap("\n".join(block.lines), known))
        assert code == int(wanted[1] or 0), f"{where}: exit code {code}\n" + "\n".join(seen)
        known |= tokens("\n".join(seen))
        shown = after if after is not None and after.language == "text" else None
        lines = shown.lines if shown is not None else []
        if agree(lines, seen):
            continue
        assert rewrite and shown is not None and "…" not in lines, (
            f"{where}: the page and the terminal differ; if the terminal is right: "
            "tests/run tests/docs --rewrite\n"
            + "\n".join(["--- page", *lines, "--- terminal", *seen])
        )
        mended.append((shown, [in_page(line, known, mine) for line in seen]))
    if mended:
        put(page, mended)


def in_page(line: str, known: dict[str, str], mine: dict[str, str]) -> str:
    """Return a line with the tokens that the page has for those of this run."""
    ends = {real: mine.get(number, real) for number, real in known.items()}
    line = re.sub(r"\bEND_([a-z0-9]{4})\b", lambda end: f"END_{ends.get(end[1], end[1])}", line)
    return swap(line, mine)


def save(shell: Shell, block: Block) -> None:
    """Save a block as the file that it names, in the folder where the shell is."""
    where, _ = shell.type("pwd")
    folder = Path(where[0].replace("/home/you", str(shell.home)))
    (folder / block.rest).write_text("\n".join(block.lines) + "\n", encoding="utf-8")


def put(page: Path, mended: list[tuple[Block, list[str]]]) -> None:
    """Write the lines that were seen into the page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block, seen in reversed(mended):
        start = block.line - 1
        lines[start : start + len(block.lines)] = [block.indent + line for line in seen]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
