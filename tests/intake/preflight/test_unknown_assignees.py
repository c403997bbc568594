"""Tasks of people whom no setting knows: held, and told by name, with what makes a name known."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hypervisor.intake.preflight import Preflight
from hypervisor.intake.preflight.front_matter import schema_path

Write = Callable[..., Path]
Sort = Callable[..., Preflight]

SCHEMA = json.loads(Path(schema_path("preflight.schema.json")).read_text())
ANNA = (
    'in hypervisor.toml: [preflight] humans = ["anna"] for a person, agents = ["anna"] for an agent'
)


@pytest.mark.parametrize("assignee", ["anna", "['@anna']", "[claude, anna]", "nic", "claudette"])
def test_a_task_of_somebody_whom_no_setting_knows_is_held_and_triage_takes_it(
    assignee: str, task: Write, sort: Sort
) -> None:
    task("a.md", assignee=assignee)
    checked = sort()
    assert [entry.kind for entry in checked.held] == ["unknown_assignee"]
    assert not checked.ready
    assert len(sort(purpose="triage").ready) == 1


def test_the_reason_says_how_the_name_is_made_known(task: Write, sort: Sort) -> None:
    task("a.md", assignee="anna")
    (entry,) = sort().held
    assert entry.reason == (
        f"assigned to anna, and no setting says whether that is a person or an agent: {ANNA}"
    )


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ('preflight.humans = ["anna"]', ["needs_human"]),
        ('preflight.humans = ["@Anna"]', ["needs_human"]),
        ('preflight.agents = ["anna"]', []),
        ('preflight.anyone = ["anna"]', []),
        ('preflight = { humans = ["anna"], agents = ["anna"] }', ["needs_human"]),
        ('triage.judgement = "anna"', ["needs_human"]),
        ('triage = { judgement = "anna", automatable = "anna" }', ["needs_human"]),
        ('triage.judgement = "anna"\npreflight.agents = ["anna"]', []),
        ('triage.automatable = "anna"', []),
        ("callers.anna.complexity = []", []),
        ('preset = "aops"', ["unknown_assignee"]),
    ],
)
def test_a_name_is_known_where_a_setting_says_who_that_is(
    line: str, kinds: list[str], task: Write, write: Write, sort: Sort
) -> None:
    write("hypervisor.toml", line + "\n")
    task("a.md", assignee="Anna")
    assert [entry.kind for entry in sort("a.md").held] == kinds


def test_naming_one_agent_leaves_the_others_known(task: Write, write: Write, sort: Sort) -> None:
    write("hypervisor.toml", '[preflight]\nagents = ["zed"]\n')
    for number, name in enumerate(("zed", "claude", "bot")):
        task(f"t{number}.md", assignee=name)
    assert len(sort().ready) == 3


def test_the_result_has_one_line_for_each_name_with_its_count_and_the_mend(
    task: Write, sort: Sort
) -> None:
    for number, name in enumerate(("anna", "'@Anna'", "[ben, anna]", "nic")):
        task(f"t{number}.md", assignee=name)
    lines = sort().lines()
    at = lines.index("held, unknown assignee (4):")
    assert lines[at + 1] == f"  anna, 3 items: {ANNA}"
    assert lines[at + 2] == f"  ben, 1 item: {ANNA.replace('anna', 'ben')}"
    assert lines[at + 3].startswith('  nic, 1 item: in hypervisor.toml: preset = "aops", or [')
    assert lines[at + 4 :] == [
        "to paste into hypervisor.toml, for what is unknown:",
        "",
        "[preflight]",
        "# move those that are agents to agents = []",
        'humans = ["anna", "ben", "nic"]',
    ]


def test_the_result_for_programs_names_them_as_the_schema_says(task: Write, sort: Sort) -> None:
    for number, name in enumerate(("anna", "'@Anna'", "bot")):
        task(f"t{number}.md", assignee=name)
    told = sort().to_json()
    Draft202012Validator(SCHEMA).validate(told)
    assert told["unknown_assignees"] == [{"name": "anna", "items": 2, "mend": ANNA}]
    assert told["kinds"]["held"] == {"unknown_assignee": 2}


@pytest.mark.parametrize("name", ["anna", "Ann O'Hara", 'Ben "x" \\ O', "Jürgen Maß", "🌱"])
@pytest.mark.parametrize(("key", "ready"), [("humans", 0), ("agents", 1)])
def test_what_the_mend_says_can_be_pasted(
    name: str, key: str, ready: int, task: Write, write: Write, sort: Sort
) -> None:
    task("a.md", assignee=json.dumps(name, ensure_ascii=False))
    (told,) = sort("a.md").unknown_assignees()
    line = next(part for part in told.mend.split(", ") if f"{key} = [" in part)
    line = line[line.index(f"{key} =") : line.rindex("]") + 1]
    assert tomllib.loads(line) == {key: [name]}
    write("hypervisor.toml", f"[preflight]\n{line}\n")
    checked = sort("a.md")
    assert len(checked.ready) == ready
    assert not checked.unknown_assignees()


def test_a_name_that_would_steer_a_terminal_is_not_printed(task: Write, sort: Sort) -> None:
    task("a.md", assignee='"a\\e[2Jb"')
    text = "\n".join(sort().lines())
    assert "\x1b" not in text
    assert 'humans = ["…"]' in text


def test_names_are_bounded_and_many_names_too(task: Write, sort: Sort) -> None:
    for number in range(50):
        task(f"t{number}.md", assignee=f"person {number} " + "x" * 400)
    lines = sort().lines()
    assert len(lines) == 24
    assert lines[-1] == "  … and 30 more, --json lists all"
    assert max(map(len, lines)) < 250
