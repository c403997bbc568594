"""The AI clients, one line each, and what each of them offers the rest of the program.

A client is a package whose `CLIENT` is an instance of a class below `Client`. Nothing outside of
that package names it: whoever needs what differs between clients asks `CLIENTS` here. The packages
are loaded by every hook, so that they load what else they need in the method that needs it.
"""

from __future__ import annotations

from hypervisor.system.clients import HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hypervisor.agents.client import Headless, Judge
    from hypervisor.agents.finding import Finding
    from hypervisor.agents.notice import Notice
    from hypervisor.agents.usage import Failure, Usage

# What people call it on the command line -> its package.
CLIENTS = {
    "claude": "hypervisor.agents.claude",
    "gemini": "hypervisor.agents.gemini",
    "codex": "hypervisor.agents.codex",
    "command": "hypervisor.agents.command",
}


class Client:
    """What a client offers. What stands here holds for one that has nothing of the kind."""

    # Its name in sentences.
    title = ""
    # The beginnings of the names of variables that are its own.
    variables: tuple[str, ...] = ()
    # True if it reaches the queue through the MCP server.
    needs_server = False
    # Why its workers can't have working trees of their own; "" where they can.
    no_branch = ""
    # Why its workers can't be held to the commands that a queue grants; "" where they can.
    no_commands = ""
    # True if a hook's answer may allow a call in its user's place.
    hooks_allow = False
    # True if its commands are told which session they belong to.
    tells_session = False
    # True if the model hears at a session's start what a hook says.
    hears_at_start = True

    # -- workers without a session --

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        """Return how its workers are run: with `model` and so many `turns` at most. `words` are
        added to its command line."""
        raise NotImplementedError

    def judge(self, *, model: str | None, words: Sequence[str]) -> Judge:
        """Return how it is asked for a verdict on a report. Raises UsageError where it isn't."""
        from hypervisor.system.errors import UsageError

        raise UsageError(f"{self.title} is not asked for verdicts", "hypervisor help judge")

    # -- the doctor --

    def look(self, root: str, seconds: float) -> list[Finding]:
        """Return what there is to say of it for the project at `root`; each question to another
        program may take so many seconds."""
        return []

    # -- events, which the handlers know in the words of HOST --

    def sent(self, event: str, payload: Mapping[str, object]) -> bool:
        """True if an event of this name is this client's, by a sign that no other client gives."""
        return False

    def read(self, event: str, payload: dict[str, object]) -> tuple[str, dict[str, object]]:
        """Return the event's name and payload as the handlers know them."""
        return event, payload

    def answer(self, event: str, given: dict[str, object]) -> dict[str, object] | None:
        """Return a handler's answer to the event (by its own name) as this client knows it."""
        return given

    def is_typed(self, prompt: str) -> bool:
        """True for a prompt that its user has typed."""
        return bool(prompt.strip())

    def has_typed(self, transcript: str, pattern: str) -> bool:
        """True if what a regular expression finds is known to be typed by the user of the session
        with this transcript."""
        return False

    def may_ask(self, tool: str, folders: Iterable[str]) -> bool:
        """True if the user may want to be asked about `tool` whoever else allows it; `folders` are
        those whose settings may hold for the session."""
        return True

    def notice(self, prompt: str) -> Notice | None:
        """Return the notice of ended workers that a prompt is, if it is one."""
        return None

    def notices(self, transcript: str) -> Iterator[Notice]:
        """Yield the notices in a session's transcript."""
        return iter(())

    def all_stopped(self, prompt: str) -> bool:
        """True for a prompt that tells that a person has stopped all workers of the session."""
        return False

    def started(self) -> str | None:
        """Return what the user is to hear once, at a session's start or the next command's."""
        return None

    def serves(self) -> None:
        """The MCP server starts, it may be for this client."""

    def allowing(self, rules: Iterable[str]) -> str:
        """Return how a user allows what these permission rules name: a file, and what goes in."""
        raise NotImplementedError

    # -- transcripts --

    def wrote(self, first: str) -> bool:
        """True if a transcript with this first line is this client's."""
        return False

    def transcript_of(self, session: str, agent: str) -> str | None:
        """Return the path of the transcript of an agent, given that of its session's."""
        return None

    def files(self, path: str) -> list[str]:
        """Return all transcripts of the worker that has written `path`, the oldest first."""
        return [path]

    def sum_up(self, rows: Iterable[str]) -> Usage:
        """Return what a worker has used, by the rows of its transcripts."""
        raise NotImplementedError

    def unseen(self, mode: str, environment: Mapping[str, str]) -> str:
        """Return what it asks its service for a worker beyond what stands in transcripts, in the
        words of `ledger.usage`: `mode` is the session's permission mode, `environment` a hook's."""
        return ""

    def last_error(self, path: str) -> Failure | None:
        """Return the error in which the worker of this transcript ended, or None."""
        return None

    def stopped_by_person(self, path: str) -> bool:
        """True if it has marked the worker of this transcript as stopped by its user."""
        return False

    def finished_at(self, path: str) -> float | None:
        """Return when it marked the worker of this transcript as finished (Unix time), or None."""
        return None


def client(name: str) -> Client:
    """Return the client called `name`."""
    # Loads the package itself, not the one that it is in.
    found: Client = __import__(CLIENTS[name], fromlist=["CLIENT"]).CLIENT
    return found


def host() -> Client:
    """Return the client whose plugin this is."""
    return client(HOST)


def sender(event: str, payload: Mapping[str, object]) -> Client:
    """Return the client that an event is from: the one that knows it by a sign, else the host."""
    for name in CLIENTS:
        if (one := client(name)).sent(event, payload):
            return one
    return host()


def writer(first: str) -> Client:
    """Return the client that wrote a transcript with this first line, else the host."""
    for name in CLIENTS:
        if (one := client(name)).wrote(first):
            return one
    return host()
