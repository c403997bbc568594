"""One run of a client: where it works, how it is started, what it tells, how it ended."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hypervisor.agents.limits import Limit, Windows
from hypervisor.config import prices, store
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Claim, NewItem
from hypervisor.ledger.usage import KINDS
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git_environment import IDENTITY
from hypervisor.system.notes import VARIABLE, home
from hypervisor.system.processes import exit_text
from hypervisor.system.reading import json_value
from hypervisor.system.text import LONGEST_TEXT, bounded, one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.usage import Bill, Tokens
    from hypervisor.system.processes import Said

# What a program needs to find its way about; nothing else of the caller's environment goes in.
GIVEN = frozenset(
    (
        "HOME", "HYPERVISOR_HOME", "HYPERVISOR_PYTHON", "HYPERVISOR_SETUP", "HYPERVISOR_STORE",
        "HYPERVISOR_STORE_WAIT", "LANG", "LANGUAGE", "LOGNAME", "NODE_EXTRA_CA_CERTS", "NO_COLOR",
        "PATH", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TZ", "USER", "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    )
)  # fmt: skip
_OF_SERVERS = ("HYPERVISOR_HOME", "HYPERVISOR_PYTHON", "HYPERVISOR_STORE", "HYPERVISOR_STORE_WAIT")
# How much of what a command printed is kept.
_TAIL_LINES = 8
_TAIL = 2000
# By custom a program that can't be run at all ends so.
_CANT_RUN = (126, 127)
_PROXIES = frozenset(("http_proxy", "https_proxy", "no_proxy", "all_proxy"))


@dataclass(frozen=True)
class Place:
    """Where an agent works: the `root` of the project, the `queue`, the agent's name in its pool,
    and a `folder` of its own for temporary files. `commands` are granted by the queue; `tree` is
    the linked worktree that it works in instead of the root, for work on branches."""

    root: str
    queue: str
    agent: PoolAgent
    folder: Path
    commands: tuple[str, ...] = ()
    tree: str | None = None

    @property
    def tmp(self) -> Path:
        """The agent's TMPDIR; it exists."""
        return self.folder / "tmp"


@dataclass(frozen=True)
class Start:
    """How to start a process: its words, its whole environment, what it reads."""

    words: list[str]
    environment: dict[str, str]
    stdin: str = ""


@dataclass
class End:
    """How a run ended. `how` is one of

    finished (the client says so), limited (turns), failed (an error of the service or the client),
    rate_limited, refused (it can't run at all: not logged in …), and what the pool has done to it:
    overtime, stopped, over (its item took more than it may). `last` is the agent's last text;
    `limit` is the limit that was met; `output` is all that it printed, where that is an answer.
    """

    how: str
    cause: str = ""
    last: str = ""
    limit: Limit | None = None
    output: str | None = None


@dataclass
class Stream:
    """What a run's output has told so far. Subclasses read the lines.

    `asked` is false while the agent has not asked for an item yet; `complaints` are the last lines
    of its standard error; `windows` is how much of the service's usage windows is used, where the
    client tells. `usages` is how often the service's use was told of; `bill` what the client says
    that the run has cost. Where what is printed is an answer, `output` takes it, as it comes and
    apart from standard error: never more than `most_output` bytes, and a little to see that it was
    more.
    """

    tool: str = ""
    asked: bool = False
    last: str = ""
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    windows: Windows = field(default_factory=dict)
    usages: int = 0
    bill: Bill | None = None
    output: bytearray | None = None
    most_output: int = 0

    def printed(self, data: bytes) -> None:
        """Take in what stood on standard output, if that is an answer."""
        if self.output is not None:
            self.output += data[: max(0, self.most_output + 1 - len(self.output))]

    def feed(self, line: str) -> None:
        """Take in one line of standard output."""

    def complain(self, line: str) -> None:
        """Take in one line of standard error."""
        self.complaints = [*self.complaints[-19:], line]

    def over(self) -> End | None:
        """Return how the run ends, if it is to be ended now: the client would go on."""
        return None

    def end(self, code: int) -> End:
        """Return how the run ended, given the exit code (negative: a signal)."""
        raise NotImplementedError


class LastLines(Stream):
    """Keeps the last lines of what any command prints; where that is an answer, all of it."""

    def __init__(self) -> None:
        super().__init__(asked=True)
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._said = ""

    def feed(self, line: str) -> None:
        if self.output is not None and len(self._said) <= LONGEST_TEXT:
            self._said += f"{line.rstrip()}\n"
        self.complain(line)

    def complain(self, line: str) -> None:
        if line.strip():
            self._tail.append(line.rstrip()[: _TAIL // 2])

    def end(self, code: int) -> End:
        """Return how the command ended: finished only with exit code 0."""
        self.last = "\n".join(self._tail)[-_TAIL:]
        if code == 0:
            output = self.output
            told = None if output is None else output.decode("utf-8", "surrogateescape")
            return End("finished", "", bounded(self._said.strip()) or self.last, output=told)
        how = "refused" if code in _CANT_RUN else "failed"
        last = self._tail[-1] if self._tail else ""
        cause = exit_text(code) + (f": {last[:200]}" if last else "")
        return End(how, cause, self.last)


class Unfit(UsageError):
    """An item that a worker can't be given, whatever it does: the item is blocked for that."""


class Headless:
    """How a client is run as a worker without a session.

    Subclasses are what a client's folder has for that. The exit code alone is never taken for the
    outcome: it is 0 after many a failure.
    """

    # What people call it, and the seconds between two starts of it.
    name = ""
    start_gap = 0.0
    # What it asks its service for; None: nobody knows before it runs.
    model: str | None = None
    # True where a process gets one item, which the pool claims for it, and does not ask for more.
    one_item_each = False
    # What it asks its service beyond what stands in its transcripts.
    unseen = ""

    def check(self, root: str) -> None:
        """Find the program, and whatever else it can't run without in the project at `root`. Raises
        HypervisorError."""

    def check_names(self, rows: Iterable[Mapping[str, object] | None]) -> None:
        """Raise UsageError if the items with these columns can't be given to it."""

    def hand_on(self, names: Sequence[str]) -> list[str]:
        """Hand these variables of this environment on to it; return those that look like secrets
        and are kept from it. Raises UsageError."""
        if names:
            raise UsageError("--env is for --agent command", "the client's own keys are handed on")
        return []

    def rehearse(self, item: NewItem, queue: str) -> list[str]:
        """Return the command line for an item that is still to be claimed. Raises UsageError, Unfit
        among them."""
        raise UsageError("--dry-run is for --agent command")

    def start(self, place: Place, claim: Claim | None = None) -> Start:
        """Return how to start one process; `claim` is its item with `one_item_each`. Raises Unfit
        for an item that it can't be given."""
        raise NotImplementedError

    def stream(self, place: Place) -> Stream:
        raise NotImplementedError

    def clear_away(self, root: str) -> None:
        """Remove what runs that were ended have left in the project at `root`."""

    def transcript(self, place: Place, stream: Stream) -> str | None:
        return None


# What a judge is told in the place of the client's own instructions; the rest is its question.
SYSTEM = "You judge work by what is written of it."


class Answer(NamedTuple):
    """What a judge has answered; its tokens by kind and the dollars, where they are known."""

    text: str
    tokens: dict[str, int] | None = None
    usd: float | None = None


class Judge:
    """How a client is asked for its word on one report: once, without tools."""

    # What its verdicts go by.
    name = ""

    def check(self) -> None:
        """Find the program, and whatever else it can't be asked without. Raises HypervisorError."""

    def start(self, place: Place, text: str) -> Start:
        """Return how to put the question `text` to it. It runs in the empty folder `place.tmp`; the
        place is for this question alone."""
        raise NotImplementedError

    def read(self, place: Place, said: Said) -> Answer:
        """Return its answer in what it printed. Raises HypervisorError where there is none."""
        raise NotImplementedError


def only(words: Iterable[str], may: Sequence[str] = ()) -> None:
    """Raise UsageError for a word of a user's that is none of the options that a judge `may` be
    given, each with its value: others might give it tools, or settings of somebody's."""
    rest = iter(words)
    for word in rest:
        name, has_value, _ = word.partition("=")
        if name not in may:
            told = f"leave it out; {', '.join(may)} may be added" if may else "leave it out"
            raise UsageError(f"a judge is asked without {one_line(word, 80)}", told)
        if not has_value:
            next(rest, "")


def unmentioned(text: str) -> str:
    """Return a question in which `@` begins no name of a file or an agent: a client would add what
    stands there, outside of all marks."""
    return text.replace("@", "\\@")


def finished(stream: Stream, said: Said) -> None:
    """Have `stream` read what a judge printed. Raises HypervisorError if it did not finish."""
    stream.asked = True
    for line in said.out.split("\n"):
        stream.feed(line)
    for line in said.err.split("\n"):
        stream.complain(line)
    end = stream.end(said.code)
    if end.how != "finished":
        raise HypervisorError(end.cause)


def priced(text: str, used: Mapping[str, Tokens]) -> Answer:
    """Return the answer `text` with the tokens `used` of each model, at list prices."""
    costs = [prices.usd(model, figures) for model, figures in used.items()]
    known = [cost for cost in costs if cost is not None]
    tokens = {kind: sum(of[at] for of in used.values()) for at, kind in enumerate(KINDS)}
    return Answer(text, tokens, sum(known) if len(known) == len(costs) else None)


def event(line: str) -> dict[str, object]:
    """Return the event in a line of a client's stream; an empty one for a line that is none."""
    try:
        told = json_value(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def scrubbed(place: Place, more: frozenset[str] = frozenset(), prefixes: tuple[str, ...] = ()) -> (
    dict[str, str]
):  # fmt: skip
    """Return an environment of its own for an agent: what every program needs, the variables in
    `more` or with one of `prefixes`, those that let it into the store, and what tells the agent's
    own commands who they are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in GIVEN
        or name in IDENTITY
        or name in more
        or name.startswith(("LC_", *prefixes))
        or name.lower() in _PROXIES
    }
    return kept | {
        **store.environment(),
        "TMPDIR": str(place.tmp),
        "HYPERVISOR_WORKER": place.agent.name,
        # HOME may be another one there; what is ours is known by the user's own folder.
        VARIABLE: home(),
        **place.agent.environment(),
    }


def find(program: str, install: str) -> str:
    """Return the path of a client on PATH. Raises HypervisorError with how to install it."""
    import shutil

    found = shutil.which(program)
    if found is None and "/" in program and os.path.isfile(program):
        raise HypervisorError(f"{program} is not executable", f"chmod +x {shell(program)}")
    if found is None and "/" in program:
        raise HypervisorError(f"{program}: no such file", "check the path")
    if found is None:
        raise HypervisorError(f"{program} is not on PATH", install)
    return found


def own_program() -> str:
    """Return the path of `hypervisor` as agents call it. Raises HypervisorError."""
    import shutil
    import sys

    launcher = plugin_folder() / "bin" / "hypervisor"
    if launcher.is_file():
        return str(launcher)
    beside = os.path.join(os.path.dirname(sys.executable), "hypervisor")
    found = beside if os.access(beside, os.X_OK) else shutil.which("hypervisor")
    if found is None:
        raise HypervisorError("hypervisor is not on PATH", "add its bin folder to PATH")
    return found


def set_up_server() -> None:
    """See that the task_manager server can start: agents never install its libraries. Raises
    HypervisorError."""
    words = [own_program(), "serve", "--setup"]
    made = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if made.returncode != 0:
        raise HypervisorError(
            f"the task_manager server can't start: {one_line(made.stderr.strip(), 300)}",
            "hypervisor serve --setup",
        )


def server_environment(place: Place) -> tuple[list[str], dict[str, str]]:
    """Return what the task_manager server of an agent needs of its environment, where the client
    keeps that from it: the names of variables that it is to pass on, so that no password stands in
    a file, and those that are new."""
    passed = [name for name in _OF_SERVERS if name in os.environ]
    made = {
        "HYPERVISOR_WORKER": place.agent.name,
        "HYPERVISOR_SETUP": "never",
        # The agent's HOME need not be the user's.
        VARIABLE: home(),
    }
    return [*passed, *store.environment()], place.agent.environment() | made


def plugin_folder() -> Path:
    """Return the folder of the plugin, where the program runs from it: it holds `bin/`."""
    return Path(__file__).resolve().parents[3]


def prompt(name: str) -> str:
    """Return a text of the program without its front matter. Raises HypervisorError."""
    path = Path(__file__).resolve().parents[1] / name
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HypervisorError(f"{path}: {error.strerror}", "install the whole plugin") from None
    if text.startswith("---\n"):
        text = text[text.index("\n---\n", 4) + 5 :]
    return text.strip() + "\n"


def brief(text: str) -> str:
    """Return an error's text as one line, without the service's wrapping."""
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    if not found:
        return one_line(text, 300)
    status = re.search(r'"code"\s*:\s*(\d{3})', text)
    return one_line((f"{status[1]} " if status else "") + found[1], 300)
