"""What `next` and `done` import: cheap parts of the standard library only."""

from __future__ import annotations

import subprocess
import sys
from sysconfig import get_path

import pytest

from hypervisor.ledger import Ledger
from repository import REPO

SOURCE = REPO / "src"
HEAVY = {
    "argparse", "asyncio", "dataclasses", "difflib", "frontmatter", "hashlib", "importlib.metadata",
    "inspect", "jinja2", "jsonschema", "logging", "multiprocessing", "pathlib", "random", "rich",
    "secrets", "shutil", "socket", "subprocess", "tempfile", "threading", "tomllib", "typing",
    "unittest", "urllib", "yaml", "zipfile",
}  # fmt: skip
CHILD = """
import sys
before = set(sys.modules)
sys.path[:0], sys.path[len(sys.path):] = [sys.argv[1]], sys.argv[3:]
import hypervisor.ledger, hypervisor.ledger.locks, hypervisor.config.roots
from hypervisor.ledger import Ledger, NewItem
root = hypervisor.config.roots.find_root(sys.argv[2])
with Ledger.open(root) as ledger:
    ledger.generations.open("q", [NewItem("a", "a.md", payload={"x": 1})])
    [claim] = ledger.claims.claim("q", "w")
    ledger.claims.heartbeat([claim.token])
    ledger.ends.finish(claim.token, "done", {"summary": "s"})
print(" ".join(set(sys.modules) - before))
"""


def imported_by_a_claim(root: str) -> set[str]:
    # What makes the state asks git whether anything of it is tracked.
    with Ledger.open(root, create=True):
        pass
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CHILD, SOURCE, root, get_path("purelib")],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.split())


@pytest.mark.shared
def test_on_postgresql_too_a_claim_and_its_finish_import_nothing_heavy(root: str) -> None:
    imported = imported_by_a_claim(root)
    assert {"hypervisor.ledger.libpq", "ctypes"} <= imported
    drivers = {name for name in imported if name.startswith(("psycopg", "asyncpg", "pg8000"))}
    assert sorted(imported & HEAVY | drivers) == []


@pytest.mark.embedded
def test_a_claim_and_its_finish_import_nothing_heavy(root: str) -> None:
    imported = imported_by_a_claim(root)
    assert {"hypervisor.ledger.claims", "_sqlite3"} <= imported
    assert sorted(imported & HEAVY) == []
    ours = {name for name in imported if name.startswith("hypervisor")}
    assert {name.split(".")[1] for name in ours if "." in name} <= {
        "config",
        "ledger",
        "locks",
        "system",
    }
