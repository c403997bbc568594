"""Finding our own calls in what an agent hands to a shell."""

from __future__ import annotations

import pytest

from hypervisor.agents.rights import VERBS
from hypervisor.agents.shell import calls

READ = [
    ("hypervisor next q", ["next"]),
    ("cd sub && hypervisor cancel q", ["cancel"]),
    ("true\nhypervisor cancel q", ["cancel"]),
    ("true;hypervisor cancel q&", ["cancel"]),
    ("A=1 B='2 3' hypervisor cancel q", ["cancel"]),
    ("'/opt/a b/bin/hypervisor' cancel q", ["cancel"]),
    ("./hypervisor cancel q", ["cancel"]),
    ("hyper\\visor can\\cel q", ["cancel"]),
    ("hy''per\"visor\" 'cancel' q", ["cancel"]),
    ("hypervisor \\\n cancel q", ["cancel"]),
    ("if true; then hypervisor cancel q; fi", ["cancel"]),
    ("for x in 1 2; do hypervisor cancel q; done", ["cancel"]),
    ("f() { hypervisor cancel q; }; f", ["cancel"]),
    ("function f { hypervisor cancel q; }", ["cancel"]),
    ("(hypervisor cancel q)", ["cancel"]),
    ("! hypervisor cancel q", ["cancel"]),
    ("exec hypervisor cancel q", ["cancel"]),
    ("echo $(hypervisor cancel q)", ["cancel"]),
    ("echo `hypervisor cancel q`", ["cancel"]),
    ('echo "a $(echo "$(hypervisor cancel q)") b"', ["cancel"]),
    ("echo ${x:-$(hypervisor cancel q)}", ["cancel"]),
    ("cat <(hypervisor cancel q)", ["cancel"]),
    ("hypervisor done t --summary \"$(hypervisor cancel q)\"", ["cancel", "done"]),
    ("cat <<E\n$(hypervisor cancel q)\nE", ["cancel"]),
    ("hypervisor status >out.txt 2>&1", ["status"]),
    ("hypervisor status &>out; hypervisor log q", ["status", "log"]),
    ("x=(hypervisor cancel q)", ["cancel"]),
    ("a | hypervisor cancel q", ["cancel"]),
]  # fmt: skip
THROUGH_OTHERS = [
    "env hypervisor cancel q",
    "env -i A=b hypervisor cancel q",
    "timeout 5 hypervisor cancel q",
    "sudo -u me /x/hypervisor cancel q",
    "bash -c 'hypervisor cancel q'",
    'sh -c "cd x; hypervisor cancel q"',
    "eval hypervisor cancel q",
    "eval 'hypervisor cancel' q",
    "echo hypervisor cancel q | sh",
    "bash <<'E'\nhypervisor cancel q\nE",
    "sh <<<'hypervisor cancel q'",
    "echo q | xargs hypervisor cancel",
    "find . -exec hypervisor cancel q ;",
    "python3 -m hypervisor cancel q",
    'python3 -c \'import subprocess; subprocess.run(["hypervisor", "cancel"])\'',
    "python3 src/hypervisor/__main__.py cancel q",
    "flock f -c 'hypervisor cancel q'",
    "git -c alias.x='!hypervisor cancel q' x",
    "git rebase -x 'hypervisor cancel q' main",
    "trap 'hypervisor cancel q' EXIT",
    "alias h='hypervisor cancel'",
]
UNREADABLE = [
    "hypervisor $VERB q",
    "x=cancel; hypervisor $x q",
    "hypervisor $(echo cancel) q",
    "hypervisor {cancel,q}",
    "hypervisor can?el q",
    "hypervisor 'cancel q",
    'hypervisor cancel "q',
    "echo $(hypervisor cancel q",
    "hypervisor $'can\\x63el' q",
]
NONE = [
    "echo plain",
    "grep -rn 'hypervisor cancel' docs",
    "echo hypervisor cancel q",
    "git log --oneline -- hypervisor cancel",
    "git commit -m 'hypervisor cancel ends a queue'",
    "git commit -m \"$(cat <<'E'\nhypervisor cancel: it's (now)\n$(hypervisor undo q)\nE\n)\"",
    "cat <<'E' >notes.md\nhypervisor cancel q ends it; don't\nE",
    "cd /src/hypervisor && make check",
    "ls hypervisor # hypervisor cancel q",
    "which hypervisor",
    "hypervisor",
    "$PYTHON -m pytest tests/hypervisor",
    "pytest hypervisor/check",
    "$MAKE check",
]


@pytest.mark.parametrize(("line", "verbs"), READ, ids=[line for line, _ in READ])
def test_calls_are_found_wherever_a_shell_would_run_them(line: str, verbs: list[str]) -> None:
    found = calls(line, VERBS)
    assert sorted(call.verb for call in found) == sorted(verbs)


@pytest.mark.parametrize("line", THROUGH_OTHERS)
def test_calls_that_another_program_would_make_are_found(line: str) -> None:
    assert "cancel" in {call.verb for call in calls(line, VERBS)}


@pytest.mark.parametrize("line", UNREADABLE)
def test_what_cant_be_read_is_told_as_that(line: str) -> None:
    assert [call.verb for call in calls(line, VERBS)] == [""]


@pytest.mark.parametrize("line", NONE)
def test_text_that_only_speaks_of_the_program_is_no_call(line: str) -> None:
    assert calls(line, VERBS) == []


def test_the_text_that_a_worker_reports_is_no_command() -> None:
    line = (
        "hypervisor done 17-x --next --summary - <<'END_x'\n"
        'ran `hypervisor cancel q`, it\'s "fine": $(hypervisor undo q)\nEND_x'
    )
    [call] = calls(line, VERBS)
    assert (call.verb, call.words) == ("done", ("17-x", "--next", "--summary", "-"))
    # Without the quotes around its delimiter, the shell would run what stands in it.
    found = {call.verb for call in calls(line.replace("'END_x'", "END_x"), VERBS)}
    assert found == {"done", "cancel", "undo"}


def test_words_that_the_shell_replaces_are_told() -> None:
    [call] = calls('hypervisor report q "$X"', VERBS)
    assert call.verb == "report" and not call.known
    [call] = calls("hypervisor triage tasks/*.md 'a b'", VERBS)
    assert call.words == ("tasks/*.md", "a b") and call.known


def test_a_deep_nest_is_not_followed_for_ever() -> None:
    assert [call.verb for call in calls("hypervisor x " + "$(" * 5000, VERBS)] == [""]
