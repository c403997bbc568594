"""A root with a ledger for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger


@pytest.fixture
def root(tmp_path: Path) -> str:
    folder = os.path.realpath(tmp_path / "root")
    os.mkdir(folder)
    return folder


@pytest.fixture
def ledger(root: str) -> Iterator[Ledger]:
    with Ledger.open(root, create=True) as ledger:
        yield ledger
