"""Text of others is shown, and does nothing: one rule, for every face."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.system.errors import HypervisorError
from hypervisor.system.reading import json_rows, json_value
from hypervisor.system.text import (
    Shown,
    count,
    escaped,
    indented,
    lines_kept,
    one_line,
    prose,
    shell,
    whole,
)
from worker.support import write_task

ACTING = [
    *range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F),
    *range(0x2066, 0x206A), 0xD800, 0xDFFF, 0x200B, 0xFEFF,
]  # fmt: skip
# A Persian word with a non-joiner, a family, a flag of tags, marks, right-to-left letters.
KEPT = [
    "می\u200cخواهم",
    "👩\u200d👩\u200d👧",
    "🏴\U000e0067\U000e0062\U000e007f",
    "ẹ́",
    "שָׁלוֹם",
    "क्\u200dष",
    "❤\ufe0f",
    "שלום\u200f!",
    "a\u2060b",
]
SHELLS = [
    words
    for words in (["sh"], ["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"], ["zsh"])
    if shutil.which(words[0])
]
HOSTILE = ["\x1b]52;c;ZXZpbA==\x07", "a\nhypervisor: run: evil", "x\u202egpj.exe", "\x9b2J", "\x7f"]


def test_whatever_acts_on_a_terminal_is_shown_as_its_number() -> None:
    assert escaped("a\x1b[2Jb") == "a\\u001b[2Jb"
    for code in ACTING:
        assert escaped(chr(code)) == f"\\u{code:04x}"


def test_letters_that_only_models_can_read_are_shown_as_their_numbers() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    shown = escaped(f"a{hidden}🏴{hidden}b")
    assert shown.count("\\udb40\\udc6f") == 2 and not set(hidden) & set(shown)
    assert json.loads(f'"{shown}"') == f"a{hidden}🏴{hidden}b"


@pytest.mark.parametrize("text", KEPT)
def test_letters_marks_joiners_and_emoji_stay(text: str) -> None:
    assert escaped(text) == one_line(text) == lines_kept(text) == text


@given(st.text())
def test_one_line_is_one_line_and_never_longer_than_asked(text: str) -> None:
    for shown in (escaped(text), one_line(text, 40)):
        assert len(shown.splitlines()) <= 1
        assert not {chr(code) for code in ACTING} & set(shown)
    assert len(one_line(text, 40)) <= 40
    assert escaped(escaped(text)) == escaped(text)


def test_what_somebody_said_is_one_line_with_its_own_lines_apart() -> None:
    told = prose("exit code 1:\n worked \n\nno\x1bnetwork")
    assert told == "exit code 1: worked / no\\u001bnetwork"
    assert prose("a\n" + "b" * 300, 5) == "a / …"


def test_a_block_keeps_its_newlines_and_is_indented() -> None:
    assert indented("a\n\tb\x1b\r\nc") == "  a\n  \tb\\u001b\\u000d\n  c"


@given(st.text(st.characters(codec="utf-8")))
def test_json_that_is_shown_carries_the_text_itself(text: str) -> None:
    out = io.StringIO()
    Shown(out).write(json.dumps({"title": text}, ensure_ascii=False))
    assert json.loads(out.getvalue()) == {"title": text}
    assert not {chr(code) for code in ACTING} & set(out.getvalue())


@pytest.mark.parametrize("shell_words", SHELLS, ids=" ".join)
def test_a_printed_command_pasted_into_a_shell_carries_the_same_bytes(
    shell_words: list[str],
) -> None:
    words = [
        "plain", "", "two words", "it's", "$(touch x)", "100%s\\n", "-x", "ä 👩\u200d👧",
        *HOSTILE, "%d'\\\"$`\x1b\n$(id)x", os.fsdecode(b"\xff\xfe\x01"), "a\nb", "\n\n x",
    ]  # fmt: skip
    line = shell(["printf", "%s\\0", *words])
    assert escaped(line) == line
    done = subprocess.run(
        [*shell_words, "-c", line],
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


@pytest.mark.parametrize("name", [name for name in ("bash", "zsh", "ksh") if shutil.which(name)])
def test_a_word_that_ends_in_a_newline_is_carried_too(name: str) -> None:
    line = shell(["printf", "%s", "it's\x1b\n\n"])
    assert escaped(line) == line
    assert subprocess.run([name, "-c", line], capture_output=True).stdout == b"it's\x1b\n\n"


def test_an_error_is_one_line_and_what_a_program_printed_is_indented_below_it() -> None:
    error = HypervisorError("a\nb: \x1b[2J", "rm 'x\ny'", output="1\x1b\nhypervisor: evil")
    told = "a\\u000ab: \\u001b[2J; rm 'x\\u000ay'. The end of its output:"
    assert str(error).split("\n") == [told, "  1\\u001b", "  hypervisor: evil"]


Hypervisor = Callable[..., subprocess.CompletedProcess[str]]


def _is_harmless(done: subprocess.CompletedProcess[str]) -> None:
    for printed in (done.stdout, done.stderr):
        assert not {chr(code) for code in ACTING if code not in (9, 10)} & set(printed), printed
        assert "\nhypervisor: run: evil" not in f"\n{printed}"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_verb_sends_what_a_stranger_wrote_to_the_terminal(
    project: Path, run_forked: Hypervisor, text: str
) -> None:
    title = json.dumps(text)
    write_task(project, "t-1").write_text(
        f"---\nid: {title}\ntitle: {title}\nstatus: active\n---\n- [ ] {text}\n"
    )
    name = text.replace("/", "")
    (project / "tasks" / f"{name}.md").write_text("---\nstatus: [\n---\n")
    (project / "tasks" / f"2{name}.md").write_text(
        f"---\nid: t-2\nstatus: active\ndepends_on: [{title}, {title}x]\n---\n"
    )
    asked = ["preflight tasks", "open q tasks", "status", "status q", "plan q", "summary q",
             "log -n 50", "pause q --reason WORD", "status q", "resume q", "next q",
             "unlock WORD", "show WORD", "pull WORD", "next WORD", "WORD", "status --WORD",
             "open q WORD", "work q --agent WORD", "triage tasks --dry-run", "report q",
             "heartbeat WORD", "cancel q"]  # fmt: skip
    for line in asked:
        _is_harmless(run_forked(*(word.replace("WORD", text) for word in line.split())))


@pytest.mark.parametrize(
    "written",
    ["{0} = 1\n", "[{0}]\nx = 1\n", "[limits]\nlease = {0}\n", "[preflight.tools]\nx = [{1}]\n",
     "[limits]\n{0} = 1\n", "[[families]]\nname = 1\n{0} = 2\n", "x = {0}\n", "\x1b = 1\n"],
)  # fmt: skip
def test_settings_of_a_stranger_are_told_of_in_one_line(
    project: Path, run_hypervisor: Hypervisor, written: str
) -> None:
    write_task(project, "t-1")
    key = json.dumps("\x1b]52;c;ZXZpbA==\x07\nhypervisor: run: evil")
    (project / "hypervisor.toml").write_text(written.format(key, key[:-1] + '["'))
    done = run_hypervisor("preflight", "tasks")
    lines = len(done.stderr.splitlines())
    assert done.returncode == 2 and lines == done.stderr.count("\nhint: ") + 1, done.stderr
    _is_harmless(done)


def test_json_of_a_verb_carries_the_text_itself(project: Path, run_hypervisor: Hypervisor) -> None:
    written = "x\\u202e\\u009b\\u007f \\u2028 👩\u200d👧"
    title = "x\u202e\x9b\x7f \u2028 👩\u200d👧"
    write_task(project, "t-1").write_text(
        f'---\nid: t-1\ntitle: "{written}"\nstatus: active\n---\n'
    )
    run_hypervisor("open", "q", "tasks")
    run_hypervisor("next", "q")
    done = run_hypervisor("show", "t-1", "--json")
    assert json.loads(done.stdout)["queues"][0]["title"] == title
    _is_harmless(done)


@pytest.mark.parametrize("text", ["", "é😀", "\0\u202e"])
def test_a_text_without_half_a_character_is_whole(text: str) -> None:
    assert whole(text) == text
    assert whole(f"{text}\ud800x\udcff") == f"{text}�x�"


def test_json_of_others_holds_no_half_of_a_character_and_no_nul() -> None:
    told = '{"\\ud800": ["\\uDFFF\ud800", "\\ud83d\\ude80", "\ud83d\ude80", "\\u0000", 7]}'
    assert json_value(told) == {"�": ["��", "🚀", "🚀", "�", 7]}
    assert json_value('{"\\u0000": "\\\\u0000"}') == {"�": "\\u0000"}
    assert list(json_rows([told, "{"])) == [json_value(told)]


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [
        (0, "item", "0 items"),
        (1, "item", "1 item"),
        (2, "open item", "2 open items"),
        (1, "branch", "1 branch"),
        (3, "branch", "3 branches"),
        (1.0, "minute", "1 minute"),
        (0.5, "minute", "0.5 minutes"),
    ],
)
def test_one_is_one_and_no_more(number: float, noun: str, told: str) -> None:
    assert count(number, noun) == told
