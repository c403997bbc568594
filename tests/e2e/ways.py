"""A batch in the ways in which people run the client: a permission mode, with a screen or `-p`.

    sitting.lay_out(6)
    sitting.begin()                  # types or passes "/hypervisor tasks"
    sitting.until(sitting.summed_up) # fails at the first dialog
    sitting.end()

In auto mode the service flags every call that it is asked about: what then runs is allowed by the
plugin's hooks or by a rule.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from e2e.model import Model
from e2e.network import PATIENCE
from e2e.queue_scripts import (
    QUEUE,
    REPOSITORY,
    SOURCE,
    ByPlan,
    by_the_book,
    hypervisor,
    lay_out,
    summary,
)
from e2e.session import BYPASS, Headless, Interactive, Result
from e2e.workspace import Workspace

MANUAL, AUTO = "default", "auto"
_DIALOG = "Do you want to"
_LOOK = 1.0  # seconds between two looks at the screen
# What the client never asks the service about, or asks it only whether a worker may be started.
_UNCHECKED = ("Agent", "SubagentHandback", "Read")


class Way(NamedTuple):
    """A permission mode, by the client's name for it, and whether there is a screen."""

    mode: str
    screen: bool

    def __str__(self) -> str:
        mode = {MANUAL: "manual", BYPASS: "bypass"}.get(self.mode, self.mode)
        return f"{mode}-{'screen' if self.screen else 'p'}"


WAYS = [Way(mode, screen) for mode in (MANUAL, AUTO, BYPASS) for screen in (True, False)]
# The one that costs least, and the one that most people meet; the others are shown with `--all`.
OFTEN, ON_A_SCREEN = Way(AUTO, False), Way(MANUAL, True)
BOTH = [ON_A_SCREEN, OFTEN]


def unended(counts: dict[str, int]) -> int:
    """How many items have not ended, by the counts of a summary."""
    return counts["at_work"] + counts["to_be_tried_again"] + counts["not_attempted"]


class Claimed(NamedTuple):
    """One hand-out of an item, how it ended, and the client's session and agent."""

    item: str
    outcome: str
    session: str
    agent: str


class Sitting:
    """One machine with a project of tasks, on which sessions are begun in one way."""

    def __init__(self, workspace: Workspace, model: Model, home: str, way: Way) -> None:
        self.workspace, self.model, self.way = workspace, model, way
        self.project = workspace.project
        self.tasks: list[Path] = []
        self._home = home
        self._session: Interactive | Headless | None = None
        self.main = ByPlan()
        model.main, model.worker = self.main, by_the_book(QUEUE)
        model.flags = lambda call: call.name not in _UNCHECKED

    def lay_out(self, count: int, *, workers: int = 2, **limits: Any) -> list[Path]:
        """Write so many tasks, and what the project says of limits."""
        self.tasks = lay_out(self.project / SOURCE, count)
        told = {"workers": workers, **limits}
        lines = (f"limits.{name} = {json.dumps(value)}\n" for name, value in told.items())
        (self.project / "hypervisor.toml").write_text("".join(lines))
        return self.tasks

    # --- sessions

    def begin(
        self,
        prompt: str = f"/hypervisor {SOURCE}",
        *,
        plugins: Sequence[Path] = (REPOSITORY,),
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        talks: bool = False,
    ) -> None:
        """Start the client, and say `prompt`; "" says nothing. `talks`: more is said later."""
        env = {"HYPERVISOR_HOME": self._home, **(env or {})}
        options: dict[str, Any] = {
            "plugins": plugins, "mode": self.way.mode, "args": args, "env": env
        }  # fmt: skip
        if self.way.screen:
            self._session = self.workspace.interactive(**options)
            if prompt:
                self.screen.submit(prompt)
        else:
            self._session = self.workspace.headless(prompt, talks=talks, **options)

    @property
    def screen(self) -> Interactive:
        assert isinstance(self._session, Interactive)
        return self._session

    def say(self, prompt: str) -> None:
        """Say something more, in mid-session."""
        if isinstance(self._session, Headless):
            self._session.say(prompt)
        else:
            self.screen.submit(prompt)

    def until(self, condition: Callable[[], Any], timeout: float = PATIENCE) -> Any:
        """Wait until `condition()` holds, with no dialog on the screen meanwhile."""
        end, look = time.monotonic() + timeout, 0.0
        try:
            while not (value := condition()):
                self.model.check()
                if time.monotonic() > look:
                    self.no_dialog()
                    look = time.monotonic() + _LOOK
                assert time.monotonic() < end, f"not so within {timeout} s"
                time.sleep(0.1)
            self.no_dialog()
        except AssertionError as error:
            error.add_note(self._told())
            raise
        return value

    def _told(self) -> str:
        """What was said last in a failed test, and what the screen shows."""
        lines = [
            f"{request.conversation.k} {request.agent or 'main'}: "
            f"{request.conversation.last[-300:]!r} => {str(request.answer)[:200]}"
            for request in self.model.requests[-12:]
        ]
        if isinstance(self._session, Interactive):
            lines += [line for line in self._session.screen().splitlines() if line.strip()]
        return "\n".join(lines)

    def no_dialog(self) -> bool:
        """True; fails the test if the screen shows one."""
        if isinstance(self._session, Interactive):
            screen = self._session.screen()
            assert _DIALOG not in screen, screen
        return True

    def refuse(self, words: str) -> None:
        """Wait for the dialog that shows these words, and say no as a user does."""
        self.screen.wait_for(_DIALOG)
        assert words in self.screen.screen(), self.screen.screen()
        self.screen.key("Escape")
        end = time.monotonic() + 10
        while _DIALOG in self.screen.screen() and time.monotonic() < end:
            time.sleep(0.1)

    def end(self, *, denied: int | None = 0) -> Result | None:
        """Leave as a user does, or wait for the end of `-p`; return what that has left. So many
        calls were refused; None: that is not looked at."""
        if isinstance(self._session, Interactive):
            self.no_dialog()
            self._session.exit()
            return None
        assert self._session is not None
        result = self._session.wait()
        assert result.rc == 0, result.stderr
        assert denied is None or len(result.denials) == denied, result.denials
        return result

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send the client a signal, and wait for its end."""
        assert self._session is not None
        self._session.kill(how)

    # --- what came out

    def hypervisor(self, *words: str) -> subprocess.CompletedProcess[str]:
        return hypervisor(self.project, *words, home=self._home)

    def summary(self) -> dict[str, Any]:
        return summary(self.project, QUEUE, home=self._home)

    def done(self) -> int:
        """How many task files say that they are done."""
        return sum("\nstatus: done\n" in path.read_text() for path in self.tasks)

    def claims(self) -> list[Claimed]:
        """Every hand-out, in order."""
        path = self.project / ".hypervisor/ledger.db"
        # It may not be there yet, or be empty yet.
        with suppress(sqlite3.OperationalError):
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
                rows = ledger.execute(
                    "select i.id, c.outcome, c.session, c.agent from claim c "
                    "join item i on i.no = c.item order by c.no"
                ).fetchall()
            return [Claimed(*row) for row in rows]
        return []

    def held(self) -> int:
        """How many items are in somebody's hands."""
        return sum(claimed.outcome is None for claimed in self.claims())

    def heard(self, agent: str = "") -> str:
        """All that a conversation was told; the session's, or a worker's."""
        return "\n".join(request.conversation.last for request in self.model.of(agent))

    def tokens(self, agent: str) -> int:
        """What the service has counted for a worker."""
        return self.model.tokens(agent).total

    def summed_up(self) -> bool:
        """True once the session has run the summary that it was told to run."""
        return bool(self.main.summary)

    def assert_each_is_done_once(self, *, costs: Sequence[tuple[int, int]] = ()) -> None:
        """Every task has one report, and was accepted once; `costs` are the attempts and deaths of
        the items that had any."""
        told = self.summary()
        assert told["counts"]["success"] == len(self.tasks), told
        for path in self.tasks:
            body = path.read_text()
            assert body.count("## Completion report") == 1, body
            assert f"did {path.stem}" in body and "status: done" in body, body
        ends = [claimed.item for claimed in self.claims() if claimed.outcome == "done"]
        assert sorted(ends) == [path.stem for path in self.tasks]
        booked = [(item["attempts"], item["deaths"]) for item in told["workers"]]
        assert sorted(cost for cost in booked if cost != (0, 0)) == sorted(costs), told

    def assert_notices_are_counted(self) -> None:
        notices = self.summary()["notices"]
        assert notices["arrived"] == notices["workers_ended"] == len(self.model.agents), notices
