"""A root with a ledger for each test: once in each engine, unless it is about the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger

ENGINES = ("sqlite", "postgres")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        engines = ENGINES
        for at, only in enumerate(("embedded", "shared")):
            if metafunc.definition.get_closest_marker(only):
                engines = ENGINES[at : at + 1]
        metafunc.parametrize("engine", engines, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine that the ledgers of a test are in."""
    if request.param == "sqlite":
        yield request.param
        return
    server = request.getfixturevalue("postgres")
    database = server.database()
    monkeypatch.setenv(VARIABLE, server.address(database))
    yield request.param
    server.drop(database)


@pytest.fixture
def root(tmp_path: Path, engine: str) -> str:
    folder = os.path.realpath(tmp_path / "root")
    os.mkdir(folder)
    return folder


@pytest.fixture
def ledger(root: str) -> Iterator[Ledger]:
    with Ledger.open(root, create=True) as ledger:
        yield ledger
