"""Who calls: the client that a command runs in, its session, its process, and if that lives."""

from __future__ import annotations

import os

from hypervisor.system import clients, machine

# Any of these tells that a pool has started this process, if not for what: see `in_pool`.
OF_POOLS = ("HYPERVISOR_POOL", "HYPERVISOR_AGENT", "HYPERVISOR_TOKEN")


class Caller:
    """What the environment tells of the client's session around this process.

    `session` is None outside of one. `headless` is None where the environment does not say.
    """

    __slots__ = ("headless", "pid", "pid_start", "session")

    def __init__(self) -> None:
        self.session = session()
        pid = os.environ.get(clients.PROCESS, "")
        # Clients before 2.1.330 do not tell their number.
        self.pid = int(pid) if pid.isdecimal() else _client_above() if self.session else None
        if is_gone(self.pid, None):
            # We are below it, so it lives: a sandbox has other numbers for processes.
            self.pid = None
        self.pid_start = started(self.pid) if self.pid is not None else None
        entry = os.environ.get(clients.ENTRY, "")
        self.headless = entry.startswith(clients.ENTRY_OF_PROGRAMS) if entry else None


def session() -> str | None:
    """Return the client's session around this process, or None outside of one."""
    return os.environ.get(clients.SESSION) or None


def around() -> str:
    """Return what kind of agent this process runs for: "pool", "session", or "" for a person."""
    if any(os.environ.get(name) for name in OF_POOLS):
        return "pool"
    return "session" if any(os.environ.get(name) for name in clients.AGENT_AROUND) else ""


class PoolAgent:
    """An agent of a pool: its pool's `session`, its own name, how many `items` it may claim in all
    (None: as many as there are), the `queue` that it is held to (None: not known here), and its
    `model`, where it stands on a rung of a ladder."""

    __slots__ = ("items", "model", "name", "queue", "session")

    def __init__(
        self,
        session: str,
        name: str,
        items: int | None = None,
        queue: str | None = None,
        model: str | None = None,
    ) -> None:
        self.session = session
        self.name = name
        self.items = items
        self.queue = queue
        self.model = model

    def environment(self) -> dict[str, str]:
        """Return the variables by which `in_pool` knows this agent in its own processes."""
        told = {"HYPERVISOR_POOL": self.session, "HYPERVISOR_AGENT": self.name}
        if self.items is not None:
            told["HYPERVISOR_ITEMS"] = str(self.items)
        if self.queue is not None:
            told["HYPERVISOR_QUEUE"] = self.queue
        if self.model is not None:
            told["HYPERVISOR_MODEL"] = self.model
        return told


def in_pool() -> PoolAgent | None:
    """Return the agent of a pool that this process belongs to, if it does to one."""
    session, name = os.environ.get("HYPERVISOR_POOL"), os.environ.get("HYPERVISOR_AGENT")
    if not session or not name:
        return None
    items = os.environ.get("HYPERVISOR_ITEMS", "")
    queue = os.environ.get("HYPERVISOR_QUEUE") or None
    model = os.environ.get("HYPERVISOR_MODEL") or None
    return PoolAgent(session, name, int(items) if items.isdecimal() else None, queue, model)


def _client_above() -> int | None:
    """Return the process of the client that this one descends from, or None."""
    pid = os.getppid()
    for _ in range(8):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
                head, _, rest = source.read().rpartition(")")
        except OSError:
            return None
        if head.partition("(")[2].startswith(clients.PROGRAM):
            return pid
        pid = int(rest.split()[1])
    return None


def started(pid: int) -> str | None:
    """Return when a process started, in the kernel's own words, or None: numbers are reused."""
    fields = _stat_of(pid)
    return fields[19] if len(fields) > 19 else None


def process() -> str | None:
    """Return the process that gives this command, as a name that no other process ever has; None
    for an agent, which has a name of its own, and where it can't be told."""
    if around():
        return None
    parent = os.getppid()
    begun = started(parent) if parent > 1 else None
    space = machine.process_space() if begun is not None else None
    return f"{space}:{parent}:{begun}" if space is not None else None


def _is_zombie(pid: int) -> bool:
    """True for a process that has ended, and that its parent has not asked for yet."""
    return _stat_of(pid)[:1] == ["Z"]


def _stat_of(pid: int) -> list[str]:
    """Return what the kernel tells of a process behind its name; nothing of one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
            # The name in brackets may hold anything; the fields count from its end.
            return source.read().rpartition(")")[2].split()
    except OSError:
        return []


def is_gone(pid: int | None, pid_start: str | None) -> bool:
    """True only where it is certain that this process has ended."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now = started(pid)
    if _is_zombie(pid):
        return True
    return pid_start is not None and now is not None and now != pid_start
