"""What is read without YAML is read as YAML reads it, to the last place."""

from __future__ import annotations

import random

import pytest

from hypervisor.tasks import header, plain

KEYS = ["id", "status", "due", "null", "A-b", "x_1", "é", "a b", "<<", '"q"', "-a"]
VALUES = [
    "", "x", "a b", "1", "1.5", "2026-02-01", "2026-02-31", "0x10", "010", "1_000", "1:30", "yes",
    "No", "y", "null", "~", "a: b", "a:b", "a #b", "a#b", "http://x/y", "[a, b]", "[a,b]", "[]",
    "[ ]", '[ a , "b c" ]', "['x', y]", "[[x]]", '["[[x]]"]', "[a, 1, 2026-01-01]", "[a:b]",
    "[a: b]", "[a,]", "[,a]", "[a b]", "{a: 1}", '"q"', "'q'", '"q" x', '"a\\n"', "'it''s'", "it's",
    "- a", "-a", "+1", "5.", ".5", ".inf", "...", "/x/y", "(a)", "@x", "`x`", "%x", "!x", "&a",
    "*a", "|", ">", "a\tb", "é ü", "日本", "end:", "?", "a ? b", "[a]b", "1 day", "12:30:45", "0o7",
    "1e3", ".", "_", "=", "a = b", '"', "''", '[""]', '["a" "b"]', '[a "b"]', "[a'b]", "on",
    "2026-01-01T10:00:00Z", "2026-01-01 10:00:00", "00", "9" * 30, "a" * 250, "1" * 250,
    "x\u2028y", "x\u00a0y", "\U0001f600", "x\ufeff", "x\x85y", "²", "٣", "a\u0300", "[.a]", "[yes]",
    "[null]", "[~]", '"x": y', "[a, b] # c", "#",
]  # fmt: skip
ENTRIES = [
    "x", "1", "yes", '"a b"', "'c'", "a: b", "- n", "[a]", "null", "", "a #c", "2026-01-01", "a:",
    "é", ".5", "/p", "{a}", '"a" b',
]  # fmt: skip
LETTERS = "ab19 :-#[]{},'\"\\.~?!&*|>%@\n\té_/"


def _lines(rolled: random.Random) -> str:
    lines = []
    for _ in range(rolled.randint(0, 4)):
        key, value = rolled.choice(KEYS), rolled.choice(VALUES)
        if value and rolled.random() < 0.75:
            lines.append(f"{key}:{rolled.choice(['', ' ', ' ', ' ', '  '])}{value}")
            continue
        lines.append(f"{key}:{rolled.choice(['', '', ' '])}")
        indent = rolled.choice([0, 2, 4])
        for _ in range(rolled.randint(0, 3)):
            lines.append(f"{' ' * indent}-{rolled.choice(['', ' ', ' '])}{rolled.choice(ENTRIES)}")
            indent += rolled.choice([0] * 9 + [1])
    return "".join(f"{line}{rolled.choice([''] * 5 + [' '])}\n" for line in lines)


def _letters(rolled: random.Random) -> str:
    return "".join(
        f"{rolled.choice(KEYS)}: {''.join(rolled.choices(LETTERS, k=rolled.randint(0, 9)))}\n"
        for _ in range(rolled.randint(1, 2))
    )


@pytest.mark.parametrize("made", [_lines, _letters])
@pytest.mark.parametrize("seed", range(4))
def test_every_header_that_is_plain_reads_as_yaml_reads_it(made, seed: int) -> None:  # type: ignore[no-untyped-def]
    rolled = random.Random(seed)
    read = 0
    for _ in range(3000):
        text = made(rolled)
        quick = plain.read(text)
        if quick is None:
            continue
        read += 1
        full = header.load(text)
        assert repr(quick.meta) == repr(full.meta), text
        assert quick.places == full.places, text
        assert quick.entries() == full.entries(), text
        for key in full.keys:
            assert quick.raw_text(key) == full.raw_text(key), text
            assert quick.raw_list(key) == full.raw_list(key), text
            assert quick.holds(key) == full.holds(key), text
    assert read > 100


@pytest.mark.parametrize(
    "text",
    [
        "id: a\nstatus: active\n",
        "title: What a day, isn't it\ndue: 2026-01-31\npriority: 3\ndone: false\n",
        "depends_on: []\ntags: [a, 'b c']\nfiles:\n- src/a.py\n- \"b: c\"\nparent:\n",
        "files:\n  - a\n  - b\nstatus: In Progress\n",
        "",
    ],
)
def test_headers_as_people_write_them_are_plain(text: str) -> None:
    assert plain.read(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n", "a: b # c\n", "a: |\n  text\n", "a: [b\n", "a: &x b\n", "a: b\n  c\n", "\n",
        "a: b\r\n", "a:\n  b: c\n", "- a\n", "a: b: c\n", "a: \"b\\n\"\n", "a: b\t\n", "a: ~\n",
    ],
)  # fmt: skip
def test_what_may_read_otherwise_is_left_to_yaml(text: str) -> None:
    assert plain.read(text) is None
