"""Finding our own calls in what an agent hands to a shell."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor.agents import shell_calls
from hypervisor.agents.shell_calls import calls, only_calls
from hypervisor.agents.verbs import VERBS

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
    ('$"hypervisor" cancel q', ["cancel"]),
    ('hyper$"visor" $"cancel" q', ["cancel"]),
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
    ">out hypervisor cancel q",
    "hypervisor<<<x cancel q",
    "case x in x) hypervisor cancel q;; esac",
    "time -p hypervisor cancel q",
    'set -- hypervisor cancel q; "$@"',
    "$(which hypervisor) cancel q",
    '"$(command -v hypervisor)" cancel q',
    "$(echo hyper)visor cancel q",
    "x=hyper; ${x}visor cancel q",
    "printf 'hypervisor cancel q' >f; . ./f",
    "cat >x.sh <<'E'\nhypervisor cancel q\nE\nsh x.sh",
    "env -S 'hypervisor cancel q'",
    "hypervisor next q | while read l; do hypervisor cancel q; done",
    "GIT_EDITOR='hypervisor cancel q' git commit",
    "PAGER='hypervisor cancel q' git log",
    "git grep -O'hypervisor cancel q' x",
    "git fetch --upload-pack='hypervisor cancel q' x",
    "gh alias set x '!hypervisor cancel q'; gh x",
    "ed <<'E'\n!hypervisor cancel q\nE",
    "printf 'x:\\n\\thypervisor cancel q\\n' | make -f -",
    "npm pkg set scripts.x='hypervisor cancel q' && npm run x",
    "sqlite3 x <<'E'\n.shell hypervisor cancel q\nE",
    "python3 - <<'E'\nimport os\nos.execlp('hypervisor', 'hypervisor', 'cancel', 'q')\nE",
    "crontab - <<'E'\n* * * * * hypervisor cancel q\nE",
    "printf '#!/bin/sh\\nhypervisor cancel q\\n' >x && chmod +x x && ./x",
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
    "find . -exec hypervisor {} q ;",
    "echo cancel q | xargs hypervisor",
    "H=hypervisor; $H",
    "c='hypervisor cancel q'; $c",
    "read c <<<'hypervisor cancel q'; $c",
    "$'\\x68ypervisor' $x",
    "ln -s /opt/bin/hypervisor y",
    "alias y=hypervisor",
    "python3 -c 'from hypervisor.cli import main; main(sys.argv)'",
    "{hypervisor,cancel,q}",
    "/opt/bin/{hypervisor,cancel,q}",
    "{hypervisor,cancel} status",
    "hypervisor$IFS$9cancel q",
    "hypervisor${IFS}cancel${IFS}q",
    'eval "hypervisor${IFS}cancel"',
    "ln -s $(which hypervisor) y; ./y cancel q",
    "hash -p /opt/bin/hypervisor y; y cancel q",
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
    "cd ~/supervisor && $MAKE check",
    "python3 -m pytest tests/hypervisor -k check",
    "cp -r hypervisor backup",
    "PYTHONPATH=/src/hypervisor python3 run.py",
    "f=$'a\\tb'; echo \"$f\"",
    "tar xf hypervisor-{a,b}.tgz",
    'echo "costs 5$" hypervisor',
    "git log --grep='hypervisor cancel' --format='hypervisor cancel %h'",
    "gh pr create --body 'hypervisor cancel ends a queue'",
    "cat >notes.md <<'E'\nhypervisor cancel q ends it\nE\nls",
    "M='a b' make -C src test && ls hypervisor",
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


@pytest.mark.parametrize("piece", ["A=env ", "env ", "bash -c 'x y' ", "eval A='b c' "])
def test_no_line_holds_up_its_reader(piece: str) -> None:
    begun = time.monotonic()
    found = calls(piece * 3000 + "hypervisor cancel q", VERBS)
    assert {"cancel", ""} & {call.verb for call in found}
    # Quadratic time would take minutes.
    assert time.monotonic() - begun < 30


WRAPPED = (
    lambda line: f"({line})",
    lambda line: f"true && {line}",
    lambda line: f"{line} | cat",
    lambda line: f"echo $({line})",
    lambda line: f'echo "a `{line}` b"',
    lambda line: f"cat <({line})",
    lambda line: f": ${{x:-$({line})}}",
    lambda line: f"cat <<E\n$({line})\nE",
    lambda line: f"cat <<'E'\nit's $( data\nE\n{line}",
    lambda line: f"if true; then {line}; fi # it's",
    lambda line: f"for x in 1; do {line}; done",
    lambda line: f"case x in (y) ;; x) {line};; esac",
    lambda line: f"f{len(line)}() {{ {line}; }}; f{len(line)}",
    lambda line: f"A='b c' env {line}",
    lambda line: f"timeout 9 {line} 2>&1",
    lambda line: f"bash -c {shlex.quote(line)}",
    lambda line: f"eval {shlex.quote(line)}",
    lambda line: f'x{len(line)}={shlex.quote(line)}; eval "$x{len(line)}"',
    lambda line: f"printf %s {shlex.quote(line)} | sh",
    lambda line: f"sh <<'E'\n{line}\nE",
    lambda line: f"bash <<<{shlex.quote(line)}",
    lambda line: f"set -- {line}; \"$@\"",
    lambda line: f"trap {shlex.quote(line)} EXIT",
)  # fmt: skip
NAMED = ("hypervisor", "hyper''visor", "h\\ypervisor", '"hypervisor"', "$(echo hyper)visor",
         "${H-hypervisor}", "hyper$'visor'")  # fmt: skip
VERBED = ("cancel", "can\\cel", "'cancel'", "$(echo cancel)", "${V-cancel}", 'c"ance"l')


@given(
    st.sampled_from(NAMED), st.sampled_from(VERBED), st.lists(st.sampled_from(WRAPPED), max_size=3)
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_bash_would_run_is_found_or_told_as_unreadable(
    tmp_path: Path, name: str, verb: str, wraps: list[Callable[[str], str]]
) -> None:
    ran, program = tmp_path / "ran", tmp_path / "hypervisor"
    program.write_text(f'#!/bin/sh\necho "$1" >>{ran}\n')
    program.chmod(0o755)
    ran.write_text("")
    line = f"{name} {verb} q"
    for wrap in wraps:
        line = wrap(line)
    subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    if "cancel" in ran.read_text().split():
        assert {"cancel", ""} & {call.verb for call in calls(line, VERBS)}, line


@pytest.mark.parametrize(
    "line",
    [
        "hypervisor next q \r#;RUN",
        "hypervisor done t --summary - <<'E'\nE)\nhypervisor done t --summary 'a\nE\nRUN\n#'\n",
        "hypervisor done t --summary - <<''\n)\nhypervisor done t --summary 'a\n\nRUN\n#'\n",
        "hypervisor done t --summary - <<E\nE\\\n\nRUN\nE\n",
        "hypervisor done t --summary - <<E\nx\\\nE\nhypervisor done t --summary 'a\nE\nRUN\n#'\n",
        'hypervisor done t --summary - <<"E\\\nF"\nEF\nRUN\n',
        "hypervisor done t --summary - <<E\r\nE\r\nRUN\n",
        "hypervisor done t --summary - <<\\\n-E\nE\nRUN\n-E\n",
        "hypervisor next q; RUN",
    ],
)
def test_a_line_in_which_a_shell_would_run_anything_else_is_not_ours_alone(
    line: str, tmp_path: Path
) -> None:
    for name in ("hypervisor", "RUN"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: >{tmp_path}/ran-$(basename $0)\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", line], env=env, stdin=subprocess.DEVNULL, capture_output=True)
    assert (tmp_path / "ran-RUN").exists() and only_calls(line) is None


def test_a_file_by_the_name_of_a_number_is_one() -> None:
    assert only_calls("hypervisor done t --summary - >\\1<<E\nE") is None
    assert only_calls("hypervisor next q >>| head") is None


def test_a_text_that_ends_elsewhere_in_another_shell_is_no_part_of_a_call() -> None:
    assert only_calls("hypervisor done t --summary - <<'E\nF'\nE\nF\nRUN\n") is None


@pytest.mark.parametrize(
    "line",
    [
        "hypervisor next q",
        "hypervisor done 1-abcd --next --summary x",
        "hypervisor ./next",
        "hypervisor --help",
        "hypervisor show @a:b +1",
        "hypervisor nothing",
    ],
)
def test_a_plain_call_is_what_a_reading_of_the_line_finds(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[tuple[str, tuple[str, ...], bool]]:
        told = [*calls(line, VERBS), *(only_calls(line) or ())]
        return [(call.verb, call.words, call.known) for call in told]

    plain = found()
    monkeypatch.setattr(shell_calls, "_plain_call", lambda line: [])
    assert found() == plain and len(plain) == 2
