"""Queues in all shapes, and a tmux that shows the live view of them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.schema import LEASED
from repository import REPO

HYPERVISOR = REPO / "bin" / "hypervisor"
# Times are shown in minutes, rounded: in the first half of one, so that a slow run shows the same.
_EARLY = 28.0


def lay_out(root: Path) -> None:
    """Open queues whose screens stay the same for most of a minute."""
    with Ledger.open(str(root), create=True) as ledger:
        hostile = "x\x1b[2J\x1b]0;owned\x07"
        names = [f"task-{number:03}" for number in range(300)]
        inbox = [NewItem(name) for name in ["日本語-7", hostile, *names]]
        ledger.generations.open("inbox", inbox, Options(max_attempts=1))
        ledger.generations.open("notes", [NewItem("first"), NewItem("then", after=["first"])])
        ledger.generations.open("old", [NewItem("a"), NewItem("b")])
        for number in range(12):
            agent = f"a{number:02}f3c9d1"
            [claim] = ledger.claims.claim("inbox", f"w-{number}", session="s")
            ledger.sessions.assign("s", agent, [claim.token])
            ledger.agents.join(agent, "s", 1, None)
            ledger.agents.saw_tool(agent, f"Bash: npm test -- --filter part-{number}")
            ledger.agents.set_usage(agent, (1000 * number, 345, 12_000, 50), {}, complete=False)
        for number in range(130):
            outcome = {5: "failed", 7: "blocked", 70: "failed"}.get(number, "done")
            [claim] = ledger.claims.claim("inbox", "w")
            ledger.ends.finish(claim.token, outcome, {"reason": f"no such table ({number})"})
        for claim in ledger.claims.claim("old", "w", 2):
            ledger.ends.finish(claim.token, "done", {})
        ledger.pauses.pause("notes", "rate limit until 15:00")
        _date_back(ledger)


def _date_back(ledger: Ledger) -> None:
    now, clock = time.time(), ledger.store.engine.lease_clock()
    with ledger.store.write():
        ledger.store.change("update event set at = ?", (now - 7200,))
        ledger.store.change("update queue set opened_at = ?", (now - 7200,))
        ledger.store.change(
            "update item set finished_at = ? - 36 * (130 - no + 14) where finish_no is not null",
            (now,),
        )
        held = ledger.store.rows("select no, claim from item where turn < 0 order by no").fetchall()
        for place, (item, claim) in enumerate(held):
            minutes = 3 + place
            left = 60 * (14 - place) + _EARLY
            ledger.store.change(
                "update item set turn = ? where no = ?",
                (LEASED + clock + round(left * 1e6), item),
            )
            ledger.store.change(
                "update claim set claimed_at = ? where no = ?", (now - 60 * minutes + _EARLY, claim)
            )
        ledger.store.change("update agent set seen_at = ?", (now - 180 + _EARLY,))


class Screen:
    """A shell in a tmux of its own. `env` is added to its environment."""

    def __init__(self, cwd: Path, size: tuple[int, int], env: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._socket = f"{self._folder.name}/tmux"
        self._cwd = cwd
        told = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "HYPERVISOR_HOME": os.environ["HYPERVISOR_HOME"],
            "HYPERVISOR_STATE": os.environ["HYPERVISOR_STATE"],
            "LANG": "C.UTF-8",
            "PS1": "ready> ",
            **(env or {}),
        }
        pairs = [f"{name}={value}" for name, value in told.items()]
        width, height = map(str, size)
        shell = ["env", "-i", "TERM=tmux-256color", *pairs, "bash", "--norc", "--noprofile"]
        self.tmux("new-session", "-d", "-x", width, "-y", height, "--", *shell)
        self.wait_for(lambda text: "ready>" in text)

    def tmux(self, *args: str) -> str:
        """Run a command of tmux and return what it prints."""
        ran = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", self._socket, *args],
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            cwd=self._cwd,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return ran.stdout

    def close(self) -> None:
        self.tmux("kill-server")
        self._folder.cleanup()

    def text(self) -> str:
        """What the screen shows now."""
        return self.tmux("capture-pane", "-p")

    def tell(self, name: str) -> str:
        """One of tmux's variables: alternate_on, cursor_flag, pane_pid …"""
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def run(self, *line: str | Path) -> None:
        """Type a command line into the shell."""
        self.tmux("send-keys", "-l", "--", shlex.join(map(str, line)))
        self.tmux("send-keys", "Enter")

    def type(self, text: str) -> None:
        """Type a text, its newlines and tabs too."""
        self.tmux("send-keys", "-l", "--", text)

    def key(self, *names: str) -> None:
        """Press keys, by tmux's names."""
        self.tmux("send-keys", *names)

    def resize(self, size: tuple[int, int]) -> None:
        self.tmux("resize-window", "-x", str(size[0]), "-y", str(size[1]))

    def watch(self, *args: str) -> None:
        """Start the live view and wait until it shows."""
        self.run(HYPERVISOR, "status", "--watch", *args)
        self.wait_for(lambda text: "q leaves" in text)

    def wait_for(self, fits: Callable[[str], bool], seconds: float = 30) -> str:
        """Return the first screen that fits."""
        until = time.monotonic() + seconds
        while True:
            shown = self.text()
            if fits(shown):
                return shown
            assert time.monotonic() < until, f"the screen stays:\n{shown}"
            time.sleep(0.05)

    def child(self) -> int:
        """The process that the shell runs in the foreground."""
        shell = self.tell("pane_pid")
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[0])


def steady(text: str) -> str:
    """Return a screen without what differs from run to run: the root, the clock, the pace."""
    lines = text.rstrip("\n").split("\n")
    lines[0] = re.sub(r"^hypervisor  .* ?\d\d:\d\d:\d\d$", "hypervisor", lines[0])
    masked = [re.sub(r"\d\.\d\d?/min", "N.NN/min", line.rstrip()) for line in lines]
    masked = [re.sub(r"\b\d+ min left", "NN min left", line) for line in masked]
    return "\n".join(masked) + "\n"
