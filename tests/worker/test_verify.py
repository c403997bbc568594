from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.worker import verify
from hypervisor.worker.evidence import Evidence
from ledger.support import Child
from repository import REPO
from worker.support import open_queue, reports, states, write_task


def end(root: Path, report: dict[str, Any] | None = None) -> str:
    with Ledger.open(str(root)) as ledger:
        claims = worker.take(ledger, "q", "w")
        token = claims[0].token if claims else next(iter(ledger.claims.live_tokens()))
        return worker.finish(ledger, token, "done", report or {"summary": "did it"}).state


def wait_for(path: Path) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def is_gone(pid: int) -> bool:
    """True once a process has ended, or only waits for its parent to notice."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def check(root: Path, command: str, limit: float = 60, **options: Any) -> verify.Checked:
    return verify.check(
        command,
        options.pop("evidence", Evidence("a")),
        root=str(root),
        turns=create_state(str(root)).folder,
        limit=limit,
        beat=options.pop("beat", lambda: None),
        **options,
    )


def test_the_check_runs_at_the_root_and_knows_the_item_from_its_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    command = 'pwd >seen; echo "$HYPERVISOR_ID $HYPERVISOR_PATH" >>seen; echo $# $0 >>seen'
    open_queue(project, verify=command)
    monkeypatch.chdir(project / "tasks")
    assert end(project) == "done"
    assert (project / "seen").read_text() == f"{project}\na tasks/a.md\n0 sh\n"
    assert f"- Checked by: `{command[:20]}" in (project / "tasks/a.md").read_text()


@pytest.mark.parametrize(
    "item_id", ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "a\nb", "a\0b", "-rf", "“”‮"]
)
def test_hostile_ids_and_paths_run_nothing(project: Path, item_id: str) -> None:
    checked = check(
        project, 'printf %s "$HYPERVISOR_ID" >id', evidence=Evidence(item_id, item_id[:1])
    )
    assert checked.ok
    assert (project / "id").read_text() == item_id.replace("\0", "�")
    assert not (project / "pwned").exists()


def test_a_failed_check_refuses_done_shows_the_tail_and_the_item_stays(project: Path) -> None:
    path = write_task(project, "a")
    before = path.read_bytes()
    open_queue(project, verify="seq 1 2000; printf 'the \\033[31mend' >&2; exit 3")
    with pytest.raises(worker.Refused) as refused:
        end(project)
    told = str(refused.value)
    assert told.startswith("the check of this queue failed: it ended with exit code 3; fix it")
    assert told.endswith("\n  2000\n  the \\u001b[31mend")
    assert len(told) < 4000
    assert states(project) == {"a": "claimed"}
    assert path.read_bytes() == before


def test_a_check_that_passes_at_the_second_try_accepts_the_report(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project, verify="test -e ready")
    with pytest.raises(worker.Refused):
        end(project)
    (project / "ready").touch()
    assert end(project) == "done"
    assert reports(path) == 1


def test_a_check_beyond_its_time_is_ended_with_its_grandchildren(project: Path) -> None:
    command = "(sh -c 'echo $$ >grandchild; sleep 600' & echo; wait); sleep 600"
    checked = check(project, command, limit=0.5)
    assert not checked.ok
    assert checked.why == "it ran longer than 500 ms"
    assert is_gone(int(wait_for(project / "grandchild")))


def test_what_a_check_leaves_in_the_background_ends_with_it(project: Path) -> None:
    checked = check(project, "sleep 600 & echo $! >left; true")
    assert checked.ok
    assert is_gone(int(wait_for(project / "left")))


def test_one_check_at_a_time_runs_in_a_working_tree(project: Path) -> None:
    command = "test ! -e busy && touch busy && sleep 0.1 && rm busy"
    children = [Child(lambda: check(project, command).ok) for _ in range(4)]
    assert [child.result() for child in children] == [True] * 4


def test_others_claim_and_finish_while_a_check_runs(project: Path) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(
        project,
        verify="if test $HYPERVISOR_ID = a; then echo on >started; "
        "until test -e go; do sleep 0.02; done; fi",
    )
    child = Child(end, project)
    wait_for(project / "started")
    with Ledger.open(str(project)) as ledger:
        claim = worker.take(ledger, "q", "other")[0]
        assert claim.id == "b"
        ledger.ends.finish(claim.token, "done", {"summary": "quick"})
    assert states(project) == {"a": "claimed", "b": "done"}
    (project / "go").touch()
    assert child.result() == "done"


def test_the_lease_is_renewed_while_the_check_runs(project: Path) -> None:
    write_task(project, "a")
    open_queue(project, verify="sleep 2", lease_seconds=1.5)
    child = Child(end, project)
    until = time.monotonic() + 1.8
    with Ledger.open(str(project)) as ledger:
        while time.monotonic() < until:
            ledger.ends.expire()
            time.sleep(0.02)
    assert child.result() == "done"


def test_a_claim_that_is_lost_while_its_check_runs_writes_nothing(project: Path) -> None:
    path = write_task(project, "a")
    before = path.read_bytes()
    open_queue(project, verify="echo on >started; sleep 600", lease_seconds=1)

    def late() -> str:
        try:
            return end(project)
        except NotOwner as error:
            return str(error)

    child = Child(late)
    wait_for(project / "started")
    with Ledger.open(str(project)) as ledger:
        ledger.generations.cancel("q")
    assert "you no longer own this" in child.result()
    assert path.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ending_the_caller_ends_its_check_and_the_item_stays(project: Path, number: int) -> None:
    write_task(project, "a")
    open_queue(project, verify="echo $$ >started; sleep 600")
    code = (
        "import sys; sys.path[:0] = ['src', 'tests']\n"
        "from pathlib import Path; from worker.test_verify import end\n"
        f"end(Path({str(project)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPO,
        stderr=subprocess.DEVNULL,
    )
    pid = int(wait_for(project / "started"))
    process.send_signal(number)
    assert process.wait() != 0
    assert is_gone(pid)
    assert states(project) == {"a": "claimed"}


def test_a_check_that_is_killed_is_a_failed_check(project: Path) -> None:
    checked = check(project, "kill -9 $$")
    assert not checked.ok
    assert checked.why == "it ended with SIGKILL"


def test_a_check_gets_the_report_and_the_item_on_standard_input_and_by_variables(
    project: Path,
) -> None:
    told = Evidence(
        "a", None, "Zoë’s", {"n": 1}, "all\0well", {"x": [1]}, ["a b", "c"], ["d"], "c0ffee", 2
    )
    names = "ID TITLE ROW DATA SUMMARY ANSWER FILES COMMIT ATTEMPT PATH LEFT_OUT"
    shown = "; ".join(f'printf "%s|" "$HYPERVISOR_{name}"' for name in names.split())
    assert check(project, f"cat >given; {{ {shown}; }} >told", evidence=told).ok
    given = json.loads((project / "given").read_text())
    assert given == json.loads(json.dumps(told._asdict()))
    row = '{"n": 1}'
    assert (project / "told").read_text() == (
        f'a|Zoë’s|{row}|{row}|all�well|{{"x": [1]}}|a b\nc|c0ffee|2|||'
    )


def test_what_is_too_long_for_a_variable_is_unset_and_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERVISOR_SUMMARY", "that of another")
    told = Evidence("a", summary="é" * 50_001, row={"text": "x" * 150_000})
    command = 'test -z "${HYPERVISOR_SUMMARY+x}${HYPERVISOR_ROW+x}"; echo $? $HYPERVISOR_LEFT_OUT'
    checked = check(project, command, evidence=told)
    assert checked.tail == "0 HYPERVISOR_ROW HYPERVISOR_DATA HYPERVISOR_SUMMARY"


def test_a_check_that_reads_nothing_of_a_long_report_passes(project: Path) -> None:
    assert check(project, "exec <&-; sleep 0.01", evidence=Evidence("a", row="x" * 10**6)).ok


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"score": 0.5, "why": {"a": 1}}', {"score": 0.5, "why": {"a": 1}}),
        ('{"score": NaN}', None),
        ("[1]", None),
        ('{"score": 1} and more', None),
        ('{"long": "' + "x" * 5000 + '"}', {"long": "x" * 5000}),
    ],
)
def test_the_last_line_of_a_check_counts_if_it_is_a_json_object(
    project: Path, line: str, said: object
) -> None:
    (project / "line").write_text(line)
    assert check(project, "echo first; cat line").said == said


def test_a_check_runs_without_what_looks_like_a_secret_but_for_what_it_keeps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"AWS_SECRET_ACCESS_KEY": "1", "GH_TOKEN": "2", "DB_PASSWORD": "3", "MY_PAT": "4",
              "SSH_AUTH_SOCK": "/x", "DATABASE_URL": "postgresql://me:pw@host/db",
              "ANY": "ghp_" + "a" * 36}  # fmt: skip
    plain = {"GIT_AUTHOR_NAME": "me", "EDITOR": "vi", "TOKENIZERS_PARALLELISM": "0"}
    for name, value in (secret | plain).items():
        monkeypatch.setenv(name, value)
    checked = check(project, "env >seen", keep=["GH_TOKEN"])
    seen = {line.partition("=")[0] for line in (project / "seen").read_text().splitlines()}
    assert seen & set(secret) == {"GH_TOKEN"}
    assert set(plain) < seen and "HYPERVISOR_ID" in seen
    assert set(secret) - {"GH_TOKEN"} <= set(checked.without)


def commit_all(root: Path) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=root, check=True)


def test_a_check_takes_named_files_from_the_commit_at_which_the_item_began(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests/check.sh").write_text("#!/bin/sh\ngrep -q good work.txt\n")
    (project / "tests/check.sh").chmod(0o755)
    (project / "tests/old.txt").write_text("old")
    (project / ".gitignore").write_text("built/\n")
    (project / "work.txt").write_text("bad\n")
    write_task(project, "a")
    commit_all(project)
    (project / "built").mkdir()
    (project / "built/lib").write_text("here")
    command = (
        "pwd >>$TOLD; ls tests >>$TOLD; test -e built/lib && test -e new.txt && tests/check.sh"
    )
    open_queue(project, verify=command, check_base=["tests"])
    told = project.parent / "told"

    def refused() -> str:
        with pytest.raises(worker.Refused) as caught:
            end(project)
        return str(caught.value)

    os.environ["TOLD"] = str(told)
    try:
        # What a worker makes of the tests doesn't count, and stays as it is in the tree.
        (project / "tests/check.sh").write_text("#!/bin/sh\nexit 0\n")
        (project / "tests/conftest.py").write_text("mine")
        (project / "tests/old.txt").unlink()
        (project / "new.txt").write_text("new")
        assert "the check of this queue failed" in refused()
        (project / "work.txt").write_text("good\n")
        assert end(project) == "done"
    finally:
        del os.environ["TOLD"]
    assert told.read_text().split()[1:3] == ["check.sh", "old.txt"]
    place = Path(told.read_text().split()[0])
    assert not place.exists() and project not in place.parents
    assert (project / "tests/check.sh").read_text() == "#!/bin/sh\nexit 0\n"
    assert (project / "tests/conftest.py").exists() and not (project / "tests/old.txt").exists()


def test_no_link_of_a_worker_leads_a_check_to_write_outside(project: Path) -> None:
    outside = project.parent / "outside"
    (project / "sub/tests").mkdir(parents=True)
    (project / "sub/tests/x").write_text("from the base")
    (project / "dir").mkdir()
    (project / "dir/f").write_text("f")
    write_task(project, "a")
    commit_all(project)
    open_queue(project, verify="grep -q base sub/tests/x", check_base=["sub/tests"])
    (outside / "tests").mkdir(parents=True)
    (outside / "tests/x").write_text("outside")
    (outside / "f").write_text("outside")
    shutil.rmtree(project / "sub")
    shutil.rmtree(project / "dir")
    (project / "sub").symlink_to(outside)
    (project / "dir").symlink_to(outside)
    assert end(project) == "done"
    assert (outside / "tests/x").read_text() == "outside"
    assert (outside / "f").read_text() == "outside"


def test_no_submodule_and_no_replaced_object_stands_for_what_the_base_had(project: Path) -> None:
    inner = project.parent / "inner"
    for place in (inner, project):
        place.mkdir(exist_ok=True)
        (place / "check.sh").write_text("grep -q good work.txt\n")
    write_task(project, "a")
    commit_all(inner)
    commit_all(project)
    git = ["git", "-c", "protocol.file.allow=always", "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "submodule", "add", "-q", str(inner), "sub"], cwd=project, check=True)
    subprocess.run([*git, "commit", "-qm", "sub"], cwd=project, check=True)
    open_queue(project, verify="sh sub/check.sh && sh check.sh", check_base=["sub", "check.sh"])

    def refused() -> str:
        with pytest.raises(HypervisorError) as caught:
            end(project)
        return str(caught.value)

    (project / "work.txt").write_text("bad\n")
    (project / "sub/check.sh").write_text("exit 0\n")
    assert "the check of this queue failed" in refused()
    (project / "sub/check.sh").write_text("grep -q good work.txt\n")
    script = "git replace $(git rev-parse HEAD:check.sh) $(echo | git hash-object -w --stdin)"
    for place in (project, project / "sub"):
        subprocess.run(["sh", "-c", script], cwd=place, check=True)
    assert "the check of this queue failed" in refused()
    (project / "work.txt").write_text("good\n")
    assert end(project) == "done"


def test_files_from_the_base_need_a_base(project: Path) -> None:
    write_task(project, "a")
    open_queue(project, verify="true", check_base=["tests"])
    with pytest.raises(HypervisorError, match="there was none"):
        end(project)
    assert states(project) == {"a": "claimed"}


def test_of_what_a_check_prints_no_more_than_the_end_is_ever_kept(project: Path) -> None:
    told = check(project, "yes 0123456789 | head -c 22000000; echo the end; exit 3")
    assert not told.ok and told.tail.endswith("0123456789\nthe end") and len(told.tail) <= 2000
    quiet = check(project, "exec >&- 2>&-; sleep 0.3")
    assert quiet.ok and quiet.seconds >= 0.3
