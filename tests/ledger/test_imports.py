"""What `next` and `done` import: cheap parts of the standard library only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
sys.path.insert(0, sys.argv[1])
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


def test_a_claim_and_its_finish_import_nothing_heavy(tmp_path: Path) -> None:
    # What makes the state asks git whether anything of it is tracked.
    with Ledger.open(str(tmp_path), create=True):
        pass
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CHILD, SOURCE, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(ran.stdout.split())
    assert {"hypervisor.ledger.claims", "_sqlite3"} <= imported
    assert sorted(imported & HEAVY) == []
    ours = {name for name in imported if name.startswith("hypervisor")}
    assert {name.split(".")[1] for name in ours if "." in name} <= {
        "config",
        "ledger",
        "locks",
        "system",
    }
