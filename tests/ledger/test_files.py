"""Items that name the files they touch, and overlap, are never out at the same time."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path

import pytest

from hypervisor.config.roots import create_state
from hypervisor.intake.preflight.touched import touched
from hypervisor.ledger import Ledger, NewItem
from hypervisor.ledger.overlaps import FilesAtWork
from ledger.support import Child, let_expire
from worker.support import open_queue, write_backlog_task, write_task


def add(ledger: Ledger, queue: str = "q", **files: str) -> None:
    ledger.generations.open(
        queue, [NewItem(name, files=told.split()) for name, told in files.items()]
    )


def claimed(ledger: Ledger, n: int = 9, queue: str = "q", **options: object) -> list[str]:
    return [claim.id for claim in ledger.claims.claim(queue, "w", n, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a.py", "a.py", True),
        ("src", "src/a.py", True),
        ("src/a.py", "src", True),
        ("src", "src/deep/er/a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src", "src2/a.py", False),
        ("src/a", "src/ab", False),
        (".", "any/thing", True),
        ("any/thing", ".", True),
        (".", ".", True),
        ("/etc/x", "/etc", True),
        ("/etc/x", "etc/x", False),
        ("../other", "../other/a", True),
        ("A.py", "a.py", False),
    ],
)
def test_a_folder_meets_all_that_lies_below_it(one: str, other: str, meet: bool) -> None:
    at_work = FilesAtWork()
    at_work.add([one])
    assert at_work.meet(["unrelated", other]) is meet


def test_items_that_overlap_go_out_one_after_the_other_in_their_order(ledger: Ledger) -> None:
    add(ledger, a="x.py", b="x.py y.py", c="z.py", d="y.py")
    first = ledger.claims.claim("q", "w", 9)
    assert [claim.id for claim in first] == ["a", "c", "d"]
    assert claimed(ledger) == [] and claimed(ledger, only="b") == []
    ledger.ends.finish(first[0].token, "done", {"summary": "x"})
    assert claimed(ledger) == []
    ledger.ends.finish(first[2].token, "done", {"summary": "x"})
    assert claimed(ledger) == ["b"]


@pytest.mark.parametrize("how", ["released", "died", "expired", "cancelled", "blocked"])
def test_files_are_free_however_their_claim_ends(ledger: Ledger, how: str) -> None:
    add(ledger, "other", a="x.py")
    add(ledger, b="x.py")
    [claim] = ledger.claims.claim("other", "w", lease_seconds=0.01 if how == "expired" else 60)
    if how != "expired":
        assert claimed(ledger) == []
    if how == "expired":
        let_expire(ledger)
    elif how == "cancelled":
        ledger.generations.cancel("other")
    elif how == "blocked":
        ledger.ends.finish(claim.token, "blocked", {"reason": "x"})
    else:
        ledger.ends.end(claim.token, how)
    assert claimed(ledger) == ["b"]


def test_files_of_a_claim_whose_lease_ran_out_unnoticed_are_free(ledger: Ledger) -> None:
    add(ledger, "other", a="x.py")
    add(ledger, b="x.py")
    ledger.claims.claim("other", "w", lease_seconds=0.01)
    time.sleep(0.03)
    assert claimed(ledger) == ["b"]


def test_an_item_without_files_waits_for_nobody(ledger: Ledger) -> None:
    ledger.generations.open(
        "q", [NewItem("a", files=["."]), NewItem("b"), NewItem("c", files=["x"])]
    )
    assert claimed(ledger) == ["a", "b"]


def test_overlapping_items_are_found_behind_many_others(ledger: Ledger) -> None:
    items = [NewItem(f"same-{n:04}", files=["x"]) for n in range(1000)]
    ledger.generations.open("q", [*items, NewItem("free", files=["y"])])
    assert claimed(ledger, 1) == ["same-0000"]
    assert claimed(ledger, 1) == ["free"]


def test_what_changed_about_files_counts_when_the_queue_is_opened_again(ledger: Ledger) -> None:
    add(ledger, a="x", b="x")
    add(ledger, a="x", b="y")
    assert claimed(ledger) == ["a", "b"]


@pytest.mark.embedded
def test_a_queue_that_names_no_files_is_never_asked_for_any(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(f"t{n}") for n in range(3)])
    statements: list[str] = []
    ledger.store.connection.set_trace_callback(statements.append)
    assert len(claimed(ledger)) == 3
    ledger.store.connection.set_trace_callback(None)
    assert not any("'files'" in text or text.startswith("select files") for text in statements)


@pytest.mark.embedded
def test_the_files_in_work_are_found_by_an_index(ledger: Ledger) -> None:
    add(ledger, a="x", b="x")
    statements: list[str] = []
    ledger.store.connection.set_trace_callback(statements.append)
    claimed(ledger)
    ledger.store.connection.set_trace_callback(None)
    [asked] = {text for text in statements if text.startswith("select files")}
    plan = [row["detail"] for row in ledger.store.rows(f"explain query plan {asked}")]
    assert any("item_files" in step for step in plan), plan


def test_eight_processes_never_hold_overlapping_files_at_once(tmp_path: Path, engine: str) -> None:
    root = str(tmp_path)
    create_state(root)
    chosen = random.Random(3)
    paths = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g", "h/i", "h"]
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open(
            "q", [NewItem(f"t{n}", files=chosen.sample(paths, 2)) for n in range(150)]
        )

    def work(number: int) -> list[tuple[str, float, float]]:
        held = []
        with Ledger.open(root) as ledger:
            while not ledger.queues.drained("q"):
                for claim in ledger.claims.claim("q", f"w{number}", 1 + number % 2):
                    begun = time.monotonic()
                    time.sleep(0.001)
                    held.append((claim.id, begun, time.monotonic()))
                    ledger.ends.finish(claim.token, "done", {"summary": "x"})
        return held

    spans = [span for child in [Child(work, n) for n in range(8)] for span in child.result()]
    assert len(spans) == 150
    with Ledger.open(root) as ledger:
        files = {
            row["id"]: json.loads(row["files"])
            for row in ledger.store.rows("select id, files from item").fetchall()
        }
    for at, (one, begun, ended) in enumerate(spans):
        at_work = FilesAtWork()
        at_work.add(files[one])
        for other, begins, ends in spans[at + 1 :]:
            if at_work.meet(files[other]):
                assert ends < begun or begins > ended, (one, other)


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        (["src/a.py", "./src//b.py", "src/x/../a.py"], ("src/a.py", "src/b.py")),
        ("a.py, b.py; c d.py\n", ("a.py", "b.py", "c d.py")),
        (["src/**/*.py", "lib/", "*.md"], (".", "lib", "src")),
        (["a.py:10-20", "`b.py`"], ("a.py", "b.py")),
        (["/top/here/a", "/elsewhere/b", "../c"], ("../c", "/elsewhere/b", "a")),
        ([None, 3, "", " ", {"a": 1}], ()),
        ({"a": 1}, ()),
        (None, ()),
    ],
)
def test_files_are_read_as_people_write_them(value: object, paths: tuple[str, ...]) -> None:
    assert touched(value, "/top/here") == paths


def test_tasks_name_their_files_by_the_key_of_their_family(project: Path) -> None:
    write_task(project, "t0", extra="files: [src/a.py]\n")
    write_task(project, "t1", extra="files:\n  - src\n")
    write_task(project, "t2", extra="files: docs/x.md, docs/y.md\n")
    path = write_backlog_task(project, 7)
    path.write_text(path.read_text().replace("labels:", "modified_files:\n  - src/a.py\nlabels:"))
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        assert claimed(ledger) == ["t0", "t2"]


def test_open_takes_the_files_from_a_key_or_a_column(project: Path, run_hypervisor) -> None:  # type: ignore[no-untyped-def]
    rows = project / "rows.csv"
    rows.write_text("id,what,touches\n1,x,a.py;b.py\n2,y,b.py\n3,z,\n")
    (project / "do.md").write_text("do it\n")
    words = ["open", "rows", "rows.csv", "--id", "id", "--instructions", "do.md"]
    assert run_hypervisor(*words, "--files-from", "touches").returncode == 0
    write_task(project, "t0", extra="files: [n.py]\nscope: [b.py]\n")
    assert run_hypervisor("open", "q", "tasks", "--files-from", "scope").returncode == 0
    with Ledger.open(str(project)) as ledger:
        assert claimed(ledger, queue="rows") == ["1", "3"]
    told = run_hypervisor("next", "q")
    assert told.returncode == 0
    assert re.search("1 waits for files that others are working on", told.stdout), told.stdout
