"""Hypervisor itself: its program, its environment, and the project's state."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys

from hypervisor import __version__
from hypervisor.agents.clients import CLIENTS, client
from hypervisor.agents.finding import Finding, editing, note, ok, wrong
from hypervisor.config.roots import SETTINGS, claims_all
from hypervisor.config.store import address
from hypervisor.system import git, hook_errors, libraries
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.notes import home
from hypervisor.system.processes import Late, within
from hypervisor.system.spans import span
from hypervisor.system.state import Foreign, State
from hypervisor.system.text import count, shell
from hypervisor.system.waiting import PATIENCE

ABOUT = "hypervisor"
_INSTALLERS = {
    "brew": "install",
    "apt-get": "install -y",
    "dnf": "install -y",
    "apk": "add",
    "pacman": "-S --noconfirm",
    "zypper": "install -y",
}
# Versions in which a commit that resets the log during another's checkpoint may be lost are those
# from 3.7.0 up to these, but for later ones of the same line.
_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def look(root: str, seconds: float) -> list[Finding]:
    """Return what there is to say of the program and of the project at `root`."""
    found: list[Finding | None] = [
        _program(),
        ok(ABOUT, "python", sys.version.split()[0]),
        _sqlite(),
        _environment(),
    ]
    found += [_server(), _git(root, seconds)]
    found += [_settings(root), _file_system(root, seconds), *_ledger(root, seconds), _hooks(root)]
    found += _pools(root)
    return [finding for finding in found if finding is not None]


def _program() -> Finding:
    from hypervisor.agents.client import own_program

    try:
        program = own_program()
    except HypervisorError as error:
        return wrong(ABOUT, "program", "not found", "hypervisor --version", error)
    found = shutil.which("hypervisor")
    text = f"{__version__}, {program}"
    if found is None:
        # Sessions of the plugin have it on their PATH; shells and other clients' sessions do not.
        return note(ABOUT, "program", f"{text}; not on the PATH of this shell", _first(program))
    if os.path.realpath(found) != os.path.realpath(program):
        # That one is somebody's: a link of ours, or a file that another clone's git tracks.
        text += f"; PATH has another one first: {found}"
        return note(ABOUT, "program", text, _first(program))
    return ok(ABOUT, "program", text)


def _first(program: str) -> str:
    """Return what puts `program` before others of its name, and writes no file."""
    return f'export PATH={shell(os.path.dirname(program))}:"$PATH"'


def sqlite_may_lose(version: tuple[int, ...]) -> bool:
    """True for the versions of SQLite with the fault that is told of at `_MENDED`."""
    if version < (3, 7, 0) or version >= _MENDED[-1]:
        return False
    return not any(version[:2] == mended[:2] and version >= mended for mended in _MENDED)


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite_may_lose(sqlite3.sqlite_version_info):
        text = f"{version}, which can lose a commit when a log is reset during a checkpoint"
        text += "; a lock around our writes keeps them apart. A Python with SQLite 3.51.3, 3.50.7 "
        return note(ABOUT, "sqlite", f"{text}or 3.44.6, named in HYPERVISOR_PYTHON, has it fixed")
    return ok(ABOUT, "sqlite", version)


def _environment() -> Finding:
    place = os.path.dirname(os.path.dirname(sys.executable))
    if not os.access(place, os.W_OK):
        return note(ABOUT, "environment", f"{place}, which this user can't write to")
    return ok(ABOUT, "environment", place)


def _server() -> Finding:
    """The libraries of task_manager: sessions start it, but never install them."""
    import glob
    from importlib.util import find_spec

    home = glob.escape(libraries.environments())
    made = glob.glob(os.path.join(home, f"{__version__}+*mcp*", ".complete"))
    if made or find_spec("mcp") is not None:
        return ok(ABOUT, "server", "the libraries of task_manager are installed")
    users = ", ".join(one.title for one in map(client, CLIENTS) if one.needs_server)
    text = f"the libraries of task_manager are not installed (needed by {users} and MCP only)"
    return note(ABOUT, "server", text, "hypervisor serve --setup")


def _git(root: str, seconds: float) -> Finding:
    if shutil.which("git") is None:
        text = "not on PATH: no commits of workers, no `commit:` check"
        return note(ABOUT, "git", text, _install("git"))
    try:
        version = git.version(root, seconds)
        inside = git.Git(root, seconds=seconds).ok("rev-parse", "--is-inside-work-tree")
    except HypervisorError:
        return wrong(ABOUT, "git", f"no answer within {span(seconds)}", "git --version")
    if not inside:
        told = f"{version}; {root} is in no repository"
        if claims_all(root):
            return note(ABOUT, "git", f"{told}, nor a project's folder")
        return note(ABOUT, "git", told, f"git init {shell(root)}")
    return ok(ABOUT, "git", version)


def _install(package: str) -> str:
    """Return the command of this machine's own packages, if it has one that is known."""
    for program, words in _INSTALLERS.items():
        if shutil.which(program):
            as_root = "sudo " if program != "brew" and os.geteuid() else ""
            return f"{as_root}{program} {words} {package}"
    return ""


def _settings(root: str) -> Finding | None:
    from hypervisor.config.settings import load

    path = os.path.join(root, SETTINGS)
    try:
        load(root)
    except HypervisorError as error:
        return wrong(ABOUT, "settings", f"{SETTINGS} is refused", editing(path), error)
    return ok(ABOUT, "settings", path) if os.path.exists(path) else None


def _file_system(root: str, seconds: float) -> Finding:
    from hypervisor.system.mounts import network_file_system

    try:
        kind = within(seconds, lambda: network_file_system(root))
    except Late:
        return wrong(
            ABOUT, "file system", f"{root}: no answer within {span(seconds)}", f"df {shell(root)}"
        )
    if kind is not None and not _store_is_elsewhere():
        text = f"{root} is on {kind}, where SQLite is not safe: keep it on a local disk, or its "
        mend = "export HYPERVISOR_STORE=postgresql://HOST/DATABASE"
        return wrong(ABOUT, "file system", f"{text}queues in PostgreSQL", mend)
    return ok(ABOUT, "file system", kind or "local")


def _store_is_elsewhere() -> bool:
    """True where the queues are on a server, or are meant to be."""
    try:
        return address() is not None
    except UsageError:
        # No address of a store: opening the ledger says so.
        return True


def _ledger(root: str, seconds: float) -> list[Finding]:
    """The ledger, and with a store elsewhere whether that can be reached: opening it does both."""
    from hypervisor.ledger import NoLedger

    # The store is waited for while it starts; not here.
    os.environ[PATIENCE] = "3"
    what = "store" if _store_is_elsewhere() else "ledger"
    found = [_state(root)]
    try:
        told = within(seconds, lambda: _counts(root))
        found.append(ok(ABOUT, what, told))
    except NoLedger:
        text = f"{root} has none yet: `hypervisor open` makes it"
        found.append(ok(ABOUT, what, text))
    except Late:
        mend = "hypervisor status"
        found.append(wrong(ABOUT, what, f"no answer within {span(seconds)}", mend))
    except HypervisorError as error:
        text = f"can't be used ({type(error).__name__})"
        found.append(wrong(ABOUT, what, text, "hypervisor status", error))
    except (OSError, sqlite3.Error) as error:
        text = f"can't be used ({type(error).__name__})"
        found.append(wrong(ABOUT, what, text, "hypervisor status", error))
    return [finding for finding in found if finding is not None]


def _counts(root: str) -> str:
    from hypervisor.ledger import Ledger

    with Ledger.open(root, look=True) as ledger:
        queues = ledger.queues.all()
        left = 0
        for queue in queues:
            counts = ledger.queues.counts(queue.no)
            left += counts["ready"] + counts["claimed"] + counts["waiting"]
        return f"readable; {count(len(queues), 'queue')}, {count(left, 'item')} not ended"


def _state(root: str) -> Finding | None:
    try:
        state = State.find(root)
        if state is None:
            return None
        state.refuse_tracked()
    except Foreign as error:
        return wrong(ABOUT, "state", error.message, error.fix)
    if not state.can_note():
        # What is noted is enough for all but a new project, and for telling an older state.
        text = f"{home()} can't be written, so an older ledger that is restored goes unnoticed"
        return note(ABOUT, "state", text, f"mkdir -p {shell(home())}")
    return ok(ABOUT, "state", state.folder.path)


def _pools(root: str) -> list[Finding]:
    """The pools that were detached and have not drained their queues."""
    from hypervisor.worker import detached

    try:
        state = State.find(root)
        known = [] if state is None else detached.all_of(state)
    except HypervisorError:
        # `_state` tells of it.
        return []
    found = []
    for pool in known:
        if pool.alive:
            found.append(ok(ABOUT, "pool", f"{pool.id} works in the background: {pool.log}"))
        elif pool.why != "drained":
            how = f"has ended: {pool.why}" if pool.why else "is gone: it was killed"
            text = f"{pool.id} {how}; its log: {pool.log}"
            found.append(note(ABOUT, "pool", text, pool.command(root)))
    return found


def _hooks(root: str) -> Finding | None:
    told = hook_errors.last(root)
    if told is None:
        return None
    text = f"one failed at {told[0][:19]}: {hook_errors.path(root)}"
    return note(ABOUT, "hooks", text, "hypervisor doctor --bundle")
