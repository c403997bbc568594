"""One table of exit codes over all verbs: `hypervisor help exit-codes`."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.cli import VERBS
from hypervisor.cli.exit_codes import CODES
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def token(project: Path, run: Run) -> str:
    """The one claim of a queue of two tasks."""
    for name in "ab":
        write_task(project, name)
    open_queue(project, verify="test ! -e refuse")
    return claim(run)


def claim(run: Run, *options: str) -> str:
    ended = run("next", "q", *options)
    assert ended.returncode == 0
    return ended.stdout.split()[1]


LINES = [
    ("next q", 0),
    ("next q --id a", 0),
    ("done TOKEN --summary x", 0),
    ("done TOKEN --summary x --next", 0),
    ("block TOKEN --reason x", 0),
    ("block TOKEN --reason x --next --json", 0),
    ("fail TOKEN --reason x", 0),
    ("release TOKEN", 0),
    ("heartbeat TOKEN", 0),
    ("expire", 0),
    ("status", 0),
    ("status q --json", 0),
    ("summary q", 0),
    ("pause q", 0),
    ("resume q", 0),
    ("cancel q", 0),
    ("show a", 0),
    ("show nowhere", 2),
    ("log q", 0),
    ("log nowhere", 2),
    ("retry q", 3),  # nothing has failed
    ("retry nowhere", 2),
    ("retry q nowhere", 2),
    ("retry q nowhere --json", 2),
    ("retry q a nowhere", 2),
    ("prune --dry-run", 0),
    ("prune", 0),
    ("completion bash", 0),
    ("completion tcsh", 2),
    ("open q tasks", 0),  # it keeps its check
    ("open q tasks --verify true", 2),  # at work with another one
    ("open q4 tasks --env A", 2),  # of no check
    ("check q", 0),
    ("check q --remove check", 0),
    ("check q --remove nowhere", 2),
    ("check q true", 0),
    ("check q ''", 2),
    ("check q true --env A=b", 2),
    ("check q true --from-base nowhere", 2),
    ("check nowhere true", 2),
    ("allow q make", 0),
    ("allow q bash", 2),
    ("allow nowhere make", 2),
    ("open q2 tasks", 3),  # all held: open in queue q
    ("open q2 nowhere.md", 2),
    ("next", 2),
    ("next q -n 0", 2),
    ("next q -n x", 2),
    ("next q --id nowhere", 2),
    ("next nowhere", 2),
    ("next q extra", 2),
    ("next q --nonsense", 2),
    ("done TOKEN", 2),
    ("done TOKEN --summary", 2),
    ("done --summary x", 2),
    ("block TOKEN", 2),
    ("fail TOKEN", 2),
    ("heartbeat", 2),
    ("pause nowhere", 2),
    ("resume nowhere", 2),
    ("cancel nowhere", 2),
    ("status nowhere", 2),
    ("summary nowhere", 2),
    ("open q3 tasks --lease soon", 2),
    ("open q3 tasks --max-attempts 0", 2),
    ("open -q tasks", 2),
    ("unlock a", 2),  # held by the live claim
    ("unlock b", 3),
    ("nonsense", 2),
    ("help", 0),
    ("help nonsense", 2),
    ("ls q", 0),
    ("-C nowhere status", 2),
    ("-q help", 0),
    ("help help", 0),
    ("preflight tasks", 3),  # all held: open in queue q
    ("preflight nowhere.md", 2),
    ("preflight nowhere --json", 2),
    ("preflight 'nowhere/*.md'", 2),
    ("triage tasks --dry-run", 0),
    ("triage nowhere.md", 2),
    ("report q", 0),
    ("report nowhere", 2),
    ("results q", 0),
    ("results nowhere", 2),
    ("plan q", 0),
    ("plan nowhere", 2),
    ("integrate nowhere", 2),
    ("wait q --timeout 0", 1),  # at work
    ("wait nowhere", 2),
    ("undo q", 3),  # nothing was written yet
    ("undo nowhere", 2),
    ("undo q nowhere", 2),
    ("retry q a", 1),  # at work
    ("pull b", 0),
    ("pull nowhere", 2),
    ("commit TOKEN tasks/a.md -m x", 1),  # unchanged
    ("commit 99-aaaa a -m x", 4),
    ("work q", 2),  # nobody to work
    ("work q -- true", 1),  # one is with another
    ("work q --id -- true", 2),
    ("work nowhere -- true", 2),
    ("review q --sample 0", 2),
    ("review q --sample 1", 3),  # nothing was reported yet
    ("review nowhere", 2),
    ("judge q", 2),  # by whom
    ("suggest 99-aaaa --title x", 4),
    ("doctor --timeout 0", 2),
    ("adopt", 2),  # nobody can be asked
    ("move here there", 2),
    ("demo --workers 0", 2),
    ("serve --nonsense", 2),
    ("done 99-aaaa --summary x", 4),
    ("done nonsense --summary x", 4),
    ("block 99-aaaa --reason x", 4),
    ("fail 99-aaaa --reason x", 4),
    ("release 99-aaaa", 4),
    ("heartbeat 99-aaaa", 4),
    ("heartbeat TOKEN 99-aaaa", 4),
]


@pytest.mark.parametrize(("line", "code"), LINES)
def test_every_verb_ends_with_the_code_of_the_table(
    project: Path, run: Run, token: str, line: str, code: int
) -> None:
    words = [token if word == "TOKEN" else word for word in shlex.split(line)]
    ended = run(*words)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    if code == 4:
        assert ended.stderr.startswith("error: ")
    if code == 4:
        assert states(project)["a"] == "claimed"


def test_no_verb_and_no_code_is_missing_in_the_table() -> None:
    tried = {verb for line, _ in LINES for verb in line.split()[:1]}
    assert {verb for verb in VERBS if verb[0] != "_"} <= tried
    assert {code for _, code in LINES} == CODES.keys() - {5}  # test_wait.py has that


@pytest.mark.parametrize(
    "line", ["next q", "done 1-aaaa --summary x", "status", "heartbeat 1-aaaa"]
)
def test_without_a_ledger_the_verbs_say_so_and_make_none(
    tmp_path: Path, run: Run, line: str
) -> None:
    ended = run(*line.split(), cwd=tmp_path)
    assert ended.returncode == 2
    assert "no queue was ever opened here\nhint: hypervisor open QUEUE SOURCE" in ended.stderr
    assert list(tmp_path.glob(".hypervisor")) == []


def test_a_check_that_refuses_done_is_a_failure(project: Path, run: Run, token: str) -> None:
    (project / "refuse").touch()
    ended = run("done", token, "--summary", "x", "--next")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert states(project) == {"a": "claimed", "b": "ready"}


def test_next_is_3_only_when_the_queue_has_drained(project: Path, run: Run, token: str) -> None:
    other = claim(run)
    ended = run("next", "q")
    assert ended.returncode == 0
    assert re.fullmatch(r"nothing ready now; a is with \S+; b is with \S+\n", ended.stdout)
    asked = run("next", "q", "--json")
    assert (asked.returncode, asked.stdout) == (
        0,
        '{"claims": [], "why": "waiting"}\n',
    )
    for mine in (token, other):
        run("done", mine, "--summary", "x")
    ended = run("next", "q")
    assert (ended.returncode, ended.stdout) == (3, "nothing left\n")
    asked = run("next", "q", "--json")
    assert (asked.returncode, asked.stdout) == (
        3,
        '{"claims": [], "why": "drained"}\n',
    )


def test_what_waits_for_an_item_that_did_not_succeed_does_not_keep_a_queue_open(
    project: Path, run: Run
) -> None:
    write_task(project, "a")
    write_task(project, "b", extra="depends_on: [a]\n")
    open_queue(project)
    mine = claim(run)
    waiting = run("next", "q")
    assert waiting.returncode == 0
    assert waiting.stdout.startswith("nothing ready now; a is with ")
    assert waiting.stdout.endswith("; 1 waits for other items\n")
    ended = run("block", mine, "--reason", "no", "--next")
    assert ended.returncode == 0
    assert ended.stdout.endswith("nothing left; 1 waits for a (blocked)\n")
    assert run("next", "q").returncode == 3


def test_done_next_ends_one_item_and_hands_out_the_next_in_one_call(
    project: Path, run: Run, token: str
) -> None:
    ended = run("done", token, "--summary", "x", "--next")
    lines = ended.stdout.splitlines()
    assert lines[0] == f"accepted {token}: done"
    assert lines[1].startswith("claim 2-")
    assert states(project) == {"a": "done", "b": "claimed"}
    last = run("done", lines[1].split()[1], "--summary", "x", "--next")
    assert (last.returncode, last.stdout.splitlines()[1]) == (0, "nothing left")


def test_done_next_in_json_is_a_list_of_claims(project: Path, run: Run, token: str) -> None:
    ended = run("done", token, "--summary", "x", "--next", "--json")
    assert ended.returncode == 0, ended.stderr
    claims = json.loads(ended.stdout)["claims"]
    assert [claim["id"] for claim in claims] == ["b"]
    last = run("done", claims[0]["token"], "--summary", "x", "--next", "--json")
    assert (last.returncode, json.loads(last.stdout)["claims"]) == (0, [])


def test_done_next_is_0_though_nothing_can_be_handed_out(
    project: Path, run: Run, token: str
) -> None:
    run("pause", "q", "--reason", "too hot")
    ended = run("done", token, "--summary", "x", "--next")
    assert (ended.returncode, ended.stdout) == (
        0,
        f"accepted {token}: done\n"
        "queue paused (too hot): stop here; hypervisor resume q continues it\n",
    )


def test_done_next_is_0_though_looking_at_the_next_item_failed(project: Path, run: Run) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project, may_write='["hypervisor.toml"]')
    mine = claim(run)
    write_task(project, "b", body="changed\n")
    (project / "hypervisor.toml").write_text("nonsense = 1\n")
    ended = run("done", mine, "--summary", "x", "--next")
    assert ended.returncode == 0
    assert "unknown key nonsense" in ended.stderr
    assert ended.stdout.endswith("nothing handed out; try again: hypervisor next q\n")
    assert states(project) == {"a": "done", "b": "ready"}


def test_the_same_done_said_again_is_0_and_another_word_is_4(
    project: Path, run: Run, token: str
) -> None:
    for _ in range(3):
        assert run("done", token, "--summary", "x").returncode == 0
    for line in (["block", token, "--reason", "x"], ["release", token], ["heartbeat", token]):
        ended = run(*line)
        assert ended.returncode == 4
        assert "you no longer own this" in ended.stderr


def test_an_item_asked_for_that_is_not_ready_is_told_with_its_state(
    project: Path, run: Run, token: str
) -> None:
    ended = run("next", "q", "--id", "a")
    assert ended.returncode == 0
    assert ended.stdout.startswith("a is claimed; nothing handed out; 1 ready; a is with ")


def test_a_heartbeat_names_what_is_held_and_what_is_lost(
    project: Path, run: Run, token: str
) -> None:
    ended = run("heartbeat", token, "99-aaaa")
    assert ended.stdout == f"held {token}\nlost 99-aaaa\n"
    assert ended.stderr == (
        "error: 99-aaaa names no claim\nhint: copy it from the line 'claim TOKEN'\n"
    )


def test_a_late_report_is_told_where_to_go_on(project: Path, run: Run, token: str) -> None:
    path = project / "tasks/a.md"
    before = path.read_bytes()
    run("cancel", "q")
    ended = run("done", token, "--summary", "x")
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert ended.stderr == (
        f"error: you no longer own this: claim {token} ended when the queue was cancelled, "
        "and its item is cancelled; nothing was written\nhint: continue with: hypervisor next q\n"
    )
    assert path.read_bytes() == before


def test_a_source_that_is_not_there_opens_no_queue(project: Path, run: Run) -> None:
    refused = run("open", "inbox", "nosuch")
    assert refused.returncode == 2
    assert "no queue was opened" in refused.stderr and "nosuch" in refused.stderr
    assert run("next", "inbox").returncode == 2
    write_task(project, "a")
    partly = run("open", "inbox", "nosuch", "tasks")
    assert partly.returncode == 1
    assert run("next", "inbox").stdout.startswith("claim ")


@pytest.mark.parametrize("asked", [(), ("--json",)])
def test_what_has_nothing_to_do_any_more_is_3(
    project: Path, run: Run, token: str, asked: tuple[str, ...]
) -> None:
    for line in ("check q --remove check", "check q"):
        ended = run(*line.split())
    assert (ended.returncode, ended.stdout) == (3, "queue q has no check\n")
    run("done", token, "--summary", "x")
    assert run("undo", "q", "a", *asked).returncode == 0
    assert run("undo", "q", "a", *asked).returncode == 3
    assert run("cancel", "q", *asked).returncode == 0
    assert run("cancel", "q", *asked).returncode == 3
    assert run("cancel", "--all", *asked).returncode == 3


def test_an_unknown_item_beside_others_changes_none_of_them(
    project: Path, run: Run, token: str
) -> None:
    run("block", token, "--reason", "no")
    refused = run("retry", "q", "a", "nowhere")
    assert refused.stderr == "error: queue q has no item 'nowhere'\nhint: hypervisor status q\n"
    assert states(project)["a"] == "blocked"


@pytest.mark.parametrize("verb", ["undo", "summary", "retry", "cancel", "report"])
def test_a_queue_that_nobody_opened_is_a_matter_of_usage(
    verb: str, project: Path, run: Run, token: str
) -> None:
    refused = run(verb, "nowhere")
    assert refused.returncode == 2
    assert "no queue 'nowhere'" in refused.stderr


@pytest.mark.parametrize("typed", ["run", "cancle", "und", "unlok", "prun"])
def test_what_takes_something_away_is_not_offered_in_the_place_of_another_word(
    typed: str, run: Run
) -> None:
    refused = run(typed, "inbox")
    assert refused.returncode == 2
    offered = refused.stderr.rpartition("did you mean")[2]
    assert not any(verb in offered for verb in ("prune", "cancel", "undo", "unlock"))


def test_a_program_that_was_replaced_while_it_ran_says_so_in_a_line(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor.cli.status.run", gone)
    ended = run("status")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: the program was removed or replaced while it ran\nhint: run the command again\n"
    )


def gone(args: object) -> int:
    raise ModuleNotFoundError("No module named 'hypervisor.views.x'", name="hypervisor.views.x")
