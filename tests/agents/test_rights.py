"""Who may run which verb, and what becomes of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.agents import rights, verbs

OWNERS = [
    "open q tasks", "open q tasks --verify 'touch x'", "plan q --go-on", "resume q", "integrate q",
    "cancel q", "triage tasks", "pull a", "check q true", "allow q make",
    "work q --agent command -- touch x", "demo", "pause q", "retry q", "undo q", "unlock a",
    "prune", "move sqlite postgresql://x", "serve", "adopt", "adopt --yes",
    "report q --output=/tmp/x", "report q --output x", "doctor --bundle x", "_hook Stop",
    "doctor --adopt --yes", "doctor --unlock a",
    "results q --out x.csv", "results q --out=x.csv",
    "_triage-worker", "run q -- touch x", "-C /tmp status", "-q cancel q",
]  # fmt: skip
ASKED = [
    "check q 'make test'", "allow q make", "work q --agent command -- touch x", "demo", "pause q",
    "retry q", "undo q", "unlock a", "prune", "move a b", "serve", "report q --output x",
    "report q --output=x", "report q \"$X\"", "report q --open", "doctor --bundle x",
    "doctor --unlock a", "doctor --adopt",
    "cancel --all", "integrate q --into main", "triage ../other", "triage /etc", "triage ~/x",
    "results q --out ../x.csv", "results q --out=/tmp/x", "results q --out \"$X\"",
    "open q ../x", "open q /etc/x.csv --id id", "open q r.csv --instructions=/etc/x",
    "preflight ~/x", "preflight @/etc/list", "triage $HOME", "triage @/etc/list",
    "pull /etc/passwd", "triage {tasks,/etc}", "$VERB q",
    "run q -- touch x", "start q --agent claude", "-C .. status", "-C /x cancel q", "-v status",
]  # fmt: skip
LEFT = [
    "preflight tasks", "open q tasks", "plan q", "wait q", "status", "summary q", "show a",
    "log q", "resume q", "integrate q --json", "next q", "done t --summary 'see /etc'", "cancel q",
    "cancel q --reason 'see ../x'", "triage tasks", "triage tasks/*.md --dry-run", "pull a",
    "pull tasks/a.md", "report q", "doctor", "nonsense", "results q", "results q --closing",
    "results q --jsonl --out out/q.jsonl", "ls q", "help run", "--help",
]  # fmt: skip


def judge(line: str, root: Path, *, worker: bool = False, planning: bool = False) -> str:
    told = rights.judge(line, worker=worker, root=str(root), cwd=str(root), planning=planning)
    return told.decision if told else ""


@pytest.mark.parametrize("words", OWNERS)
def test_an_owners_verb_is_refused_to_a_worker_however_it_is_written(
    words: str, tmp_path: Path
) -> None:
    for line in (
        f"hypervisor {words}", f"cd x && hypervisor {words}", f"A=b /x/bin/hypervisor {words}",
        f"env hypervisor {words}", f"true\nhypervisor {words}", f"echo $(hypervisor {words})",
        f"hypervisor next q; hypervisor {words}", f"if true; then hypervisor {words}; fi",
    ):  # fmt: skip
        assert judge(line, tmp_path, worker=True) == "deny", line


@pytest.mark.parametrize("verb", sorted(verbs.VERBS))
def test_a_worker_is_refused_all_but_its_own_verbs_and_those_that_look(
    verb: str, tmp_path: Path
) -> None:
    free = verbs.VERBS[verb] in (verbs.WORKER, verbs.LOOK)
    for line in (f"hypervisor {verb}", f"bash -c 'hypervisor {verb} x'"):
        refused = judge(line, tmp_path, worker=True)
        assert refused == ("" if free else "deny")


@pytest.mark.parametrize("words", ASKED)
def test_the_user_is_asked_about_what_a_session_is_not_granted(words: str, tmp_path: Path) -> None:
    assert judge(f"hypervisor {words}", tmp_path) == "ask"


@pytest.mark.parametrize("words", LEFT)
def test_what_is_granted_is_left_to_the_clients_own_rules(words: str, tmp_path: Path) -> None:
    assert judge(f"hypervisor {words}", tmp_path) == ""


@pytest.mark.parametrize("words", ["adopt", "adopt --yes", "_hook Stop", "_monitor"])
def test_some_verbs_are_refused_to_every_agent(words: str, tmp_path: Path) -> None:
    assert judge(f"hypervisor {words}", tmp_path) == "deny"


def test_a_link_inside_does_not_lead_a_source_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "away").symlink_to(tmp_path)
    assert judge("hypervisor triage away", root) == "ask"


def test_of_several_calls_a_refused_one_counts_before_one_to_ask_about(tmp_path: Path) -> None:
    assert judge("hypervisor undo q; hypervisor adopt", tmp_path) == "deny"
    assert judge("hypervisor status; hypervisor undo q", tmp_path) == "ask"


@pytest.mark.parametrize(
    "line",
    [
        "env -u CLAUDECODE -u CLAUDE_CODE_SESSION_ID hypervisor {}",
        "unset AI_AGENT 'CLAUDE_PID'; hypervisor {}",
        "CLAUDECODE= hypervisor {}",
        "env -i hypervisor {}",
        "env A=b - hypervisor {}",
        "(exec -c hypervisor {})",
        "env --unset=HYPERVISOR_POOL hypervisor {}",
        "XDG_CONFIG_HOME=$PWD hypervisor {}",
        "export HOME=/tmp/x && hypervisor {}",
        "bash -c 'unset CLAUDECODE; hypervisor {}'",
    ],
)
def test_no_agent_passes_for_somebody_else_by_changing_what_tells_who_it_is(
    line: str, tmp_path: Path
) -> None:
    for words in ("open q tasks --verify x", "review q t --accept"):
        assert judge(line.format(words), tmp_path) == "ask"
    assert judge(line.format("next q"), tmp_path, worker=True) == "deny"
    assert judge(line.format("status"), tmp_path) == ""


def test_who_only_speaks_of_such_a_variable_is_not_asked(tmp_path: Path) -> None:
    for line in (
        "hypervisor done t --summary 'unset CLAUDECODE and HOME=/x were in the script'",
        "hypervisor next q; echo $HOME",
        "cd $HOME/x && hypervisor open q tasks",
        "A=b env C=d hypervisor next q",
    ):
        assert judge(line, tmp_path) == "", line


@pytest.mark.parametrize(
    ("words", "refused"),
    [("open q tasks", True), ("triage tasks", True), ("next q", True), ("plan q --go-on", True),
     ("plan q", False), ("preflight tasks", False), ("status", False), ("report q", False)],
)  # fmt: skip
def test_in_plan_mode_nothing_is_changed(words: str, refused: bool, tmp_path: Path) -> None:
    told = judge(f"hypervisor {words}", tmp_path, planning=True)
    assert told == ("deny" if refused else "")


@pytest.mark.parametrize(
    ("words", "around", "refused"),
    [
        ("next q", "pool", False), ("status", "pool", False), ("report q", "pool", False),
        ("serve", "pool", False), ("_hook Stop", "pool", False),
        ("report q --output x", "pool", True), ("open q x", "pool", True),
        ("cancel q", "pool", True), ("check q true", "pool", True), ("work q", "pool", True),
        ("undo q", "pool", True), ("move a b", "pool", True), ("adopt", "pool", True),
        ("adopt", "session", True), ("cancel q", "session", False), ("adopt", "", False),
        ("open q x", "", False),
    ],
)  # fmt: skip
def test_the_program_refuses_what_an_agent_can_never_be_asked_about(
    words: str, around: str, refused: bool
) -> None:
    verb, *rest = words.split()
    assert (rights.refused(verb, rest, around) is not None) is refused
