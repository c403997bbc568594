"""What all tests share: no test sees this machine's settings, and none may be skipped in CI."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from repository import REPO, parsed

if TYPE_CHECKING:
    from server import Server

REAL_HOME = Path(os.environ.get("HOME") or "/nonexistent")
REAL_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or REAL_HOME / ".cache")
REAL_CONFIG = Path(os.environ.get("XDG_CONFIG_HOME") or REAL_HOME / ".config")

# One environment of the program for all tests and runs, apart from the one its user has.
SHARED_HOME = Path(
    os.environ.get("HYPERVISOR_TEST_HOME")
    or Path(os.environ.get("HYPERVISOR_HOME") or REAL_CACHE / "hypervisor", "tests")
)

# Where packages are found, and who vouches for that, belongs to the machine, not to HOME: kept when
# HOME changes. What the environment says of certificates stays there.
PACKAGE_SETTINGS = {
    "NETRC": REAL_HOME / ".netrc",
    "NPM_CONFIG_USERCONFIG": REAL_HOME / ".npmrc",
    "PIP_CACHE_DIR": REAL_CACHE / "pip",
    "PIP_CONFIG_FILE": REAL_CONFIG / "pip/pip.conf",
    "UV_CACHE_DIR": REAL_CACHE / "uv",
    "UV_CONFIG_FILE": REAL_CONFIG / "uv/uv.toml",
}

FOREIGN = ("HYPERVISOR_", "CLAUDE", "XDG_", "GIT_", "GEMINI_", "PG")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="also what takes long: the older client, more modes of the newest, the soak, "
        "the long random kills, the launcher's matrix",
    )
    parser.addoption(
        "--rewrite", action="store_true", help="write docs/ anew where it differs from the program"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `--all` runs."""
    if not config.getoption("--all"):
        thorough = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=thorough)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: takes long, so only `--all` runs it")
    _leave_projects()
    for name, path in PACKAGE_SETTINGS.items():
        if path.exists() or name.endswith("_DIR"):
            os.environ.setdefault(name, str(path))
    for name in list(os.environ):
        if name.startswith(FOREIGN) and not name.startswith("HYPERVISOR_TEST_"):
            del os.environ[name]
    for name in ("AI_AGENT", "PYTHONPATH", "PYTHONHOME", "CDPATH", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    # The second name reaches the processes of xdist, for which the first is no longer the user's.
    os.environ["HYPERVISOR_HOME"] = os.environ["HYPERVISOR_TEST_HOME"] = str(SHARED_HOME)
    # Projects of one test run are known in one place, whatever HOME a test gives its commands.
    state = os.environ.get("HYPERVISOR_TEST_STATE") or tempfile.mkdtemp(prefix="hypervisor-state-")
    os.environ["HYPERVISOR_STATE"] = os.environ["HYPERVISOR_TEST_STATE"] = state
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(SHARED_HOME / "hypothesis")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in a shell's background: our own children would never hear of an interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("short", deadline=None, print_blob=True, max_examples=25)
    settings.register_profile("thorough", settings.get_profile("short"), max_examples=60)
    settings.load_profile("thorough" if config.getoption("--all") else "short")


def _leave_projects() -> None:
    """Have temporary folders where no project is around them: what a test makes is to be its own
    root, and in no repository but its own."""
    usual = Path(tempfile.gettempdir()).resolve()
    for place in (usual, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm")):
        around = (place, *place.parents)
        marks = (".git", ".hypervisor", "hypervisor.toml")
        if any((folder / mark).exists() for folder in around for mark in marks):
            continue
        if os.access(place, os.W_OK | os.X_OK):
            tempfile.tempdir = os.environ["TMPDIR"] = str(place)
            return


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        parsed.cache_clear()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("HYPERVISOR_TEST_STATE", ""), ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped := _forbidden_skips(terminalreporter.config):
        terminalreporter.write_line(f"{skipped} skipped, and in CI a skip is a failure", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _forbidden_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _forbidden_skips(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CI", "").lower() not in ("true", "1"):
        return 0
    return len(reporter.stats.get("skipped", ()))


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _empty_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """True with `--all`: what is random is tried more often then."""
    return bool(request.config.getoption("--all"))


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """git knows who commits."""
    from worker.branches.support import WHO

    for name, value in WHO.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty root: a folder with the state of the program in it."""
    from hypervisor.config.roots import create_state

    root = tmp_path.resolve() / "project"
    root.mkdir()
    create_state(str(root))
    return root


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running PostgreSQL server; each test makes its own database there."""
    from server import Server

    # Short, since a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="hv-pg-"))
    server = Server(folder / "s")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def run_hypervisor(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run(*args, cwd=project, input=None, env={})`: bin/hypervisor as a user starts it.

    `env` is added to the environment; a value of None takes a variable away.
    """

    def run(
        *args: str | Path,
        cwd: Path = project,
        input: str | None = None,
        env: dict[str, str | None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        merged = {**os.environ, **(env or {})}
        return subprocess.run(
            [REPO / "bin" / "hypervisor", *args],
            cwd=cwd,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env={name: value for name, value in merged.items() if value is not None},
            capture_output=True,
            encoding="utf-8",
        )

    return run


@pytest.fixture
def run_forked(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As `run_hypervisor`, in a fork of this process: for tests of many verbs in a row, whose
    subject is what they do and not how they are started."""
    from forked import run as carry_out

    def run(
        *args: str | Path,
        cwd: Path = project,
        input: str | None = None,
        env: dict[str, str | None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return carry_out(args, cwd, input, env or {})

    return run


@pytest.fixture(scope="session")
def backlog_md(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real task files of the other family; a small one of the same shapes without it.

    Read it only, or copy it: it is not this repository's.
    """
    told = os.environ.get("HYPERVISOR_TEST_BACKLOG")
    folder = Path(told) if told else REPO.parent / "shared" / "data" / "backlog-md"
    return folder if folder.is_dir() else _stand_in(tmp_path_factory.mktemp("backlog-md"))


def _stand_in(folder: Path) -> Path:
    statuses = ("To Do", "In Progress", "Done", "Won't Do")
    tasks, archive = folder / "backlog" / "tasks", folder / "backlog" / "archive" / "tasks"
    tasks.mkdir(parents=True)
    archive.mkdir(parents=True)
    for number in range(1, 41):
        status = statuses[number % 4]
        quoted = f'"{status}"' if "'" in status else status
        assignee = "[]" if number % 3 else "\n  - '@codex'"
        after = f"dependencies:\n  - TASK-{number + 1}\n" if number % 8 else "dependencies: []\n"
        parent = f"parent_task_id: TASK-{number // 10}\n" if number > 30 else ""
        header = (
            f"id: TASK-{number}\ntitle: 'Task {number}: make it quicker'\nstatus: {quoted}\n"
            f"assignee: {assignee}\ncreated_date: '2025-06-{1 + number % 28:02} 10:00'\n"
            f"labels: [cli]\n{after}{parent}priority: medium\n"
        )
        if number % 20 == 0:
            header = header.replace("'Task", "@Task").replace("quicker'", "quicker: now")
        body = (
            "\n## Description\n\n<!-- SECTION:DESCRIPTION:BEGIN -->\nIt takes too long.\n"
            "<!-- SECTION:DESCRIPTION:END -->\n\n## Acceptance Criteria\n\n"
            f"- [x] #1 It is measured\n- [{'x' if number % 2 else ' '}] #2 It is quick\n"
        )
        text = f"---\n{header}---\n{body}"
        name = f"task-{number} - Make-it-quicker.md"
        ((archive if number % 10 == 3 else tasks) / name).write_bytes(
            text.replace("\n", "\r\n" if number % 13 == 0 else "\n").encode()
        )
    shutil.copy(tasks / "task-1 - Make-it-quicker.md", folder / "backlog" / "notes.md")
    return folder
