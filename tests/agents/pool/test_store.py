"""A pool whose queue is on PostgreSQL: what it starts is let in as it is itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agents.pool.support import counts, items, lay_out, lines
from hypervisor.agents.client import Place
from hypervisor.agents.gemini.client import Gemini
from hypervisor.config import store
from hypervisor.config.caller import PoolAgent
from hypervisor.system.waiting import PATIENCE
from repository import REPO

Run = Callable[..., subprocess.CompletedProcess[str]]
# As the client: takes an item, ends it, says how that went.
AGENT = """#!/bin/sh
[ "$1" = --version ] && { echo "2.1.332 (Claude Code)"; exit; }
cat >/dev/null
token=${HYPERVISOR_TOKEN:-$(hypervisor next q 2>&1 | sed -n 's/^claim //p')}
hypervisor done "$token" --summary "by itself" >/dev/null
echo '{"type":"result","subtype":"success","is_error":false,"result":"end","num_turns":1}'
"""
# What a shell may say of a server, and what is none of its business.
SAID = ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLMODE", "KRB5CCNAME")
OTHERS = ("PGP_KEY", "PGDATA", "MY_PASSWORD")


@pytest.fixture
def by_service(project: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store that can't be reached without a file that the environment names."""
    name = postgres.database()
    (project.parent / "services").write_text(
        f"[work]\nhost={postgres.folder}\nport={postgres.port}\nuser=owner\ndbname={name}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(project.parent / "services"))
    monkeypatch.setenv(store.VARIABLE, "postgresql:///?service=work")
    yield
    postgres.drop(name)


@pytest.mark.parametrize("agent", ["command", "claude"])
def test_an_agent_reaches_a_store_that_the_environment_describes(
    agent: str,
    by_service: None,
    project: Path,
    run_hypervisor: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project.parent / "bin"
    folder.mkdir()
    (folder / "claude").write_text(AGENT)
    (folder / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{REPO / 'bin'}", prepend=":")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "dummy")
    lay_out(project, 2)
    words = ("--", "claude") if agent == "command" else ("--items-per-agent", "1")
    ran = run_hypervisor("work", "q", "--agent", agent, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counts(project) == {"done": 2}
    assert {item.report["summary"] for item in items(project).values()} == {"by itself"}


@pytest.mark.parametrize("shared", [True, False])
def test_only_where_the_store_is_on_a_server_are_its_variables_passed_on(
    shared: bool, project: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch, postgres: Any
) -> None:
    name = postgres.database()
    if shared:
        monkeypatch.setenv(store.VARIABLE, postgres.address(name))
    lay_out(project, 1)
    told = {one: f"/nowhere/{one}" for one in (*SAID, *OTHERS)} | {"PGSSLMODE": "prefer"}
    told[PATIENCE] = "17"
    command = ("work", "q", "--agent", "command", "--", "sh", "-c", "env >../env")
    ran = run_hypervisor(*command, env=dict(told))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    given = dict(line.split("=", 1) for line in lines(project.parent / "env") if "=" in line)
    assert {one: given.get(one) for one in SAID} == {
        one: told[one] if shared else None for one in SAID
    }
    assert given[PATIENCE] == "17" and not given.keys() & set(OTHERS)
    postgres.drop(name)


def test_all_that_libpq_reads_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, "postgresql://db.example/work")
    read = {one.envvar.decode() for one in psycopg.pq.Conninfo.get_defaults() if one.envvar}
    assert {"PGPASSWORD", "PGPASSFILE", "PGSSLROOTCERT", "PGSERVICE"} <= read
    for name in read:
        monkeypatch.setenv(name, "x")
    assert read <= store.environment().keys()


def test_a_server_that_its_client_starts_gets_them_and_no_file_holds_a_password(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.VARIABLE, "postgresql://db.example/work")
    monkeypatch.setenv("PGPASSWORD", "sec$ret")
    folder = tmp_path / "agent"
    (folder / "tmp").mkdir(parents=True)
    place = Place(str(project), "q", PoolAgent("pool", "a-1"), folder)
    started = Gemini(None, 10, []).start(place)
    [settings] = folder.rglob("settings.json")
    text = settings.read_text()
    [server] = json.loads(text)["mcpServers"].values()
    assert server["env"]["PGPASSWORD"] == "${PGPASSWORD}" and "sec$ret" not in text
    assert started.environment["PGPASSWORD"] == "sec$ret"
