"""What a worker may call that was given tools, and what its words for them cover."""

from __future__ import annotations

import pytest

from hypervisor.agents import tools as agent_tools
from hypervisor.config import tools
from hypervisor.system.errors import UsageError


@pytest.mark.parametrize(
    ("grant", "tool", "covered"),
    [
        ("zotero", "mcp__zotero__search", True),
        ("zotero", "mcp__plugin_library_zotero__search", True),
        ("Zotero", "mcp__my-ZOTERO__search", True),
        ("claude_ai_Mail", "mcp__claude-ai-mail__send", True),
        ("zotero", "mcp__zoterox__search", False),
        ("zotero", "mcp__other__zotero", False),
        ("zotero", "mcp__other__zotero__search", False),
        ("zotero", "zotero", False),
        ("mcp__zotero", "mcp__zotero__search", True),
        ("mcp__zotero", "mcp__zotero2__search", False),
        ("mcp__zotero__search", "mcp__zotero__search", True),
        ("mcp__zotero__search", "mcp__zotero__search_all", False),
        ("mcp__zotero__search", "mcp__zotero__delete", False),
    ],
)
def test_a_grant_covers_a_server_or_one_tool_and_nothing_else(
    grant: str, tool: str, covered: bool
) -> None:
    assert tools.allows([grant], tool) is covered


@pytest.mark.parametrize(
    ("grant", "need", "met"),
    [
        ("zotero", "Zotero", True),
        ("zotero", "mcp__zotero__search", True),
        ("zotero", "mcp__zotero", True),
        ("mcp__zotero__search", "zotero", True),
        ("mcp__zotero__search", "mcp__zotero__delete", False),
        ("zotero", "outlook", False),
        ("x", "Read", True),
    ],
)
def test_what_a_task_needs_is_met_by_a_grant_for_it(grant: str, need: str, met: bool) -> None:
    assert tools.serves([grant], need) is met


@pytest.mark.parametrize("name", ["", "a b", "x;y", "-x", "$(x)", "Bash", "mcp", "mcp__", "*", "é"])
def test_what_is_no_name_of_a_tool_can_not_be_given(name: str) -> None:
    with pytest.raises(UsageError):
        tools.check_grants([name])


def test_names_are_taken_with_commas_and_kept_once() -> None:
    assert tools.check_grants(["zotero, mail", "zotero"]) == ["zotero", "mail"]


def decision(tool: str, line: str = "", grants: tuple[str, ...] = ("zotero",)) -> str:
    told = agent_tools.judge(tool, line, grants)
    return told.decision if told else ""


def test_the_tools_of_the_queue_are_allowed_and_other_servers_are_not() -> None:
    assert decision("mcp__zotero__search") == "allow"
    assert decision("mcp__mail__send") == "deny"
    assert decision("mcp__zotero__search", grants=()) == "deny"


@pytest.mark.parametrize(
    "tool", ["Agent", "Task", "WebFetch", "WebSearch", "Skill", "NotebookEdit", "Whatever"]
)
def test_what_no_worker_has_is_refused(tool: str) -> None:
    assert decision(tool) == "deny"


@pytest.mark.parametrize("tool", ["Read", "Edit", "Write", "Glob", "Grep", "SubagentHandback"])
def test_what_every_worker_has_is_left_to_the_client(tool: str) -> None:
    assert decision(tool) == ""


@pytest.mark.parametrize(
    "line",
    [
        "hypervisor next q",
        "hypervisor done t --next --summary - <<'END'\ndid it; rm -r x\nEND",
        "hypervisor block t --reason 'no $HOME'",
    ],
)
def test_its_shell_runs_the_verbs_of_a_worker(line: str) -> None:
    assert decision("Bash", line) == ""


@pytest.mark.parametrize(
    "line",
    [
        "hypervisor next q && hypervisor release t", "hypervisor next q > x",
        "A=b hypervisor next q", "PATH=/tmp hypervisor next q", "hypervisor next q < x",
        "hypervisor next q &", "hypervisor next q >& x",
        "", "curl http://x", "hypervisor next q; curl http://x", "hypervisor next $(curl http://x)",
        "hypervisor done t --summary \"$(cat /etc/passwd)\"", "x/hypervisor next q",
        "hypervisor allow q --tools mail", "hypervisor", "hypervisor next 'q",
        "hypervisor done t --summary - <<END\n$(curl http://x)\nEND",
        "hypervisor() { curl x; }; hypervisor next q",
        "hypervisor next q \\\n>x", "hypervisor next q\n>x",
        "hypervisor done t --summary \\' >x \\'",
        "hypervisor done t --summary - <<END\n`</etc/passwd`\nEND",
        f"hypervisor done t --summary {'$(' * 2000}{')' * 2000}",
    ],
)  # fmt: skip
def test_its_shell_runs_nothing_else(line: str) -> None:
    assert decision("Bash", line) == "deny", line
