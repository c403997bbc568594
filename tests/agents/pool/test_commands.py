"""A pool of commands: each item once, by its outcome, and with nothing but its own environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import counts, items, lay_out, lines, pool, script
from hypervisor.ledger import Ledger
from repository import REPO
from worker.support import open_queue, reports, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command")


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_every_item_is_run_once_and_its_last_lines_are_its_report(
    workers: int, project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 24)
    done = script(project, f'echo "$1" >>{project}/../ran; echo first; echo "did $1"')
    ran = run_hypervisor(*WORK, "--workers", str(workers), "--", done, "{id}")
    assert ran.returncode == 0, ran.stderr
    ids = sorted(items(project))
    assert sorted(lines(project.parent / "ran")) == ids
    assert counts(project) == {"done": 24}
    for item in items(project).values():
        assert item.report["summary"] == f"first\ndid {item.id}"
        assert reports(project / item.path) == 1
    assert "24/24 items ended" in ran.stderr
    again = run_hypervisor(*WORK, "--", done, "{id}")
    assert again.returncode == 3 and again.stdout.startswith("nothing left\nq: drained, 24 items")


def test_one_item_is_counted_as_one(project: Path, run_hypervisor: Run) -> None:
    lay_out(project, 1)
    ran = run_hypervisor(*WORK, "--", "true")
    assert "1/1 item ended" in ran.stderr


def test_a_command_that_fails_is_tried_again_and_then_fails_with_its_last_words(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3, max_attempts=2)
    broken = script(
        project, 'echo "$1" >>../ran; [ "$1" != t-002 ] || { echo no such key; exit 7; }'
    )
    ran = run_hypervisor(*WORK, "--", broken, "{id}")
    assert ran.returncode == 1
    assert counts(project) == {"done": 2, "failed": 1}
    assert lines(project.parent / "ran").count("t-002") == 2
    assert items(project)["t-002"].report["reason"] == "exit code 7: no such key"


def test_a_command_may_report_by_itself(project: Path, run_hypervisor: Run) -> None:
    lay_out(project, 3)
    own = script(
        project,
        'case $HYPERVISOR_ID in *1) hypervisor done "$HYPERVISOR_TOKEN" --summary "by myself";;\n'
        '*2) hypervisor block "$HYPERVISOR_TOKEN" --reason "needs a person"; exit 1;; esac',
    )
    # It calls the program that has started it, which need not be on anybody's PATH.
    ran = run_hypervisor(*WORK, "--", own, env={"PATH": "/usr/bin:/bin"})
    assert ran.returncode == 1, ran.stderr
    found = items(project)
    assert found["t-001"].report == {"summary": "by myself"}
    assert found["t-002"].state == "blocked"
    assert found["t-003"].report["summary"].startswith("the command ended with exit code 0")


def test_the_check_of_the_queue_decides_while_others_work_on(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(
        project, 6, max_attempts=1, verify='[ -e "out/$HYPERVISOR_ID" ] || { echo gone; exit 1; }'
    )
    (project / "out").mkdir()
    make = script(project, '[ "$1" = t-004 ] || touch "out/$1"; echo made')
    ran = run_hypervisor(*WORK, "--workers", "3", "--", make, "{id}")
    assert ran.returncode == 1
    assert counts(project) == {"done": 5, "failed": 1}
    found = items(project)
    assert found["t-001"].report["summary"] == "made"
    assert "check of this queue failed" in found["t-004"].report["reason"]
    assert "gone" in found["t-004"].report["reason"]


def test_an_open_box_blocks_the_item_unless_it_is_forced(
    project: Path, run_hypervisor: Run
) -> None:
    for name in ("t-1", "t-2"):
        write_task(project, name, body="# {title}\n\n- [ ] it works\n")
    open_queue(project)
    ran = run_hypervisor(*WORK, "--", "sh", "-c", '[ "$1" != t-2 ] || exit 3', "x", "{id}")
    assert items(project)["t-1"].state == "blocked"
    assert "it works" in items(project)["t-1"].report["reason"]
    write_task(project, "t-3", body="# {title}\n\n- [ ] it works\n")
    open_queue(project, ["tasks/t-3.md"], "r")
    ran = run_hypervisor("work", "r", "--agent", "command", "--force", "--", "true")
    assert ran.returncode == 0, ran.stderr
    assert "Open boxes, forced: 1" in (project / "tasks/t-3.md").read_text()


def test_hostile_ids_titles_and_columns_run_nothing_and_arrive_as_they_are(
    project: Path, run_hypervisor: Run
) -> None:
    evil = "$(touch pwned) `touch pwned`; touch pwned '\" {id} \n x"
    rows = [{"id": evil, "name": "a {title} b", "n": 3}, {"id": "--version", "name": "é", "n": 4}]
    (project / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    open_queue(project, ["rows.jsonl"], instructions="print it", id_column="id")
    show = script(
        project,
        'python3 -c "import json, os, sys; print(json.dumps([sys.argv[1:], '
        "os.environ['HYPERVISOR_ID'], os.environ['HYPERVISOR_DATA']]))\" \"$@\" >>../seen",
    )
    ran = run_hypervisor(*WORK, "--", show, "[{id}]", "{name}{n}", "{{id}}", "{ print }")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    seen = [json.loads(line) for line in lines(project.parent / "seen")]
    for row, (words, item, data) in zip(rows, seen, strict=True):
        assert words == [f"[{row['id']}]", f"{row['name']}{row['n']}", "{id}", "{ print }"]
        assert item == row["id"]
        assert json.loads(data)["name"] == row["name"]
    assert not list(project.parent.rglob("pwned"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sh", "-c", "echo {name}"], "write: sh -c 'echo \"$1\"' sh {name}"),
        (["echo", "{nam}"], "did you mean {name}?"),
    ],
)
def test_a_hole_that_is_refused_is_refused_before_anything_is_spent(
    words: list[str], told: str, project: Path, run_hypervisor: Run
) -> None:
    (project / "rows.csv").write_text("id,name\n1,$(touch pwned)\n")
    open_queue(project, ["rows.csv"], instructions="print it", id_column="id")
    ran = run_hypervisor(*WORK, "--", *words)
    assert ran.returncode == 2 and told in ran.stderr
    assert counts(project) == {"ready": 1} and not list(project.parent.rglob("pwned"))


def test_a_value_that_would_be_an_option_blocks_its_item_and_the_others_go_on(
    project: Path, run_hypervisor: Run
) -> None:
    (project / "rows.csv").write_text("id,name\n1,--version\n2,b\n3,-x\n")
    open_queue(project, ["rows.csv"], instructions="print it", id_column="id")
    ran = run_hypervisor(*WORK, "--workers", "2", "--", "echo", "{name}")
    assert ran.returncode == 1, ran.stderr
    found = items(project)
    assert [found[name].state for name in "123"] == ["blocked", "done", "blocked"]
    assert "begins with a dash" in found["1"].report["reason"]


def test_a_command_gets_what_it_needs_and_nothing_else_of_the_environment(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 1)
    ran = run_hypervisor(
        *WORK, "--", "sh", "-c", "env >../env; cat; touch \"$TMPDIR/x\"; echo $TMPDIR",
        env={"MY_API_KEY": "secret-value-1", "EDITOR": "ed", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    given = dict(line.split("=", 1) for line in lines(project.parent / "env") if "=" in line)
    assert "MY_API_KEY" not in given and "EDITOR" not in given
    assert (given["LC_ALL"], given["HYPERVISOR_ID"]) == ("C.UTF-8", "t-001")
    assert given["HYPERVISOR_PATH"] == "tasks/t-001.md"
    assert given["HYPERVISOR_ROOT"] == str(project)
    folder = Path(items(project)["t-001"].report["summary"])
    assert folder.name == "tmp" and not folder.exists()


def test_keys_are_taken_out_of_logs_and_reports(project: Path, run_hypervisor: Run) -> None:
    lay_out(project, 2)
    key = "AIza" + "x" * 35
    leak = script(project, f'echo "key {key}"; echo "mine is very-secret-words"; [ "$1" = t-001 ]')
    ran = run_hypervisor(*WORK, "--", leak, "{id}", env={"MY_TOKEN": "very-secret-words"})
    found = items(project)
    assert found["t-001"].report["summary"] == "key [redacted]\nmine is [redacted]"
    kept = [path for path in project.rglob("*") if path.is_file()]
    text = ran.stdout + ran.stderr + "".join(p.read_bytes().decode("latin-1") for p in kept)
    assert key not in text and "very-secret-words" not in text


def test_a_command_that_can_t_be_run_stops_the_pool_before_it_burns_the_queue(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 5)
    ran = run_hypervisor(*WORK, "--", "no-such-program", "{id}")
    assert ran.returncode == 1 and "no-such-program is not on PATH" in ran.stderr
    text = project.parent / "script"
    text.write_text("no program at all")
    text.chmod(0o755)
    bad = script(project, f"exec {project.parent}/missing")
    for words in ([text], [bad]):
        ran = run_hypervisor(*WORK, "--workers", "2", "--", *words)
        assert ran.returncode == 1
        assert "stopped: " in ran.stdout, ran.stdout + ran.stderr
    assert counts(project) == {"ready": 5}
    assert {item.attempts + item.deaths for item in items(project).values()} == {0}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", "0"], "--workers takes"),
        (["--max-minutes", "0"], "--max-minutes must be"),
        ([], "no command to run"),
    ],
)
def test_wrong_words_are_answered_in_a_line(
    words: list[str], told: str, project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 1)
    ran = run_hypervisor(*WORK, *words)
    assert ran.returncode == 2 and told in ran.stderr
    assert ran.stderr.count("\n") == ran.stderr.count("\nhint: ") + 1


def test_an_agent_is_held_to_its_queue_and_to_its_own_claims(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 1)
    write_task(project, "z-other")
    open_queue(project, ["tasks/z-other.md"], "other")
    foreign = run_hypervisor("next", "other").stdout.split()[1]
    write_task(project, "z-third")
    open_queue(project, ["tasks/z-third.md"], "third")
    tried = [
        "next third", f"done {foreign} --summary x", f"block {foreign} --reason x",
        f"fail {foreign} --reason x", f"release {foreign}", f"commit {foreign} -m x tasks/t-001.md",
        "open more tasks", "cancel third", "check third true", "allow third make", "pause third",
        "work third --agent command -- touch ran", "undo third", "adopt", "move a b",
        "report third --output page.html", "resume q", "triage tasks", "plan q --go-on",
    ]  # fmt: skip
    told = project.parent / "told"
    tries = "\n".join(
        f"{REPO}/bin/hypervisor {line} >>{told}.out 2>&1; echo $? >>{told}" for line in tried
    )
    work = script(project, f"{tries}\n{REPO}/bin/hypervisor status >/dev/null || exit 1")
    with pool(project, "--", work) as started:
        assert started.wait().returncode == 0
    assert told.read_text().split() == ["2"] * len(tried), Path(f"{told}.out").read_text()
    assert not (project / "page.html").exists() and not (project / "ran").exists()
    with Ledger.open(str(project)) as ledger:
        assert (
            ledger.queues.stats("third")["ready"] == 1
            and ledger.queues.stats("other")["claimed"] == 1
        )
        assert {queue.name for queue in ledger.queues.all()} == {"q", "other", "third"}
    assert run_hypervisor("done", foreign, "--summary", "mine").returncode == 0


def test_a_pool_that_leaves_a_queue_which_has_not_drained_ends_with_1(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    run_hypervisor("next", "q", "--id", "t-001", "--worker", "ann")
    ran = run_hypervisor(*WORK, "--", "true")
    assert ran.returncode == 1 and counts(project) == {"claimed": 1, "done": 1}
    assert "t-001 is with ann" in ran.stdout
