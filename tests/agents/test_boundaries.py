"""What a queue may grant its workers, and the policy file that comes with the prompt."""

from __future__ import annotations

import tomllib

import pytest

from hypervisor.agents.boundaries import check_commands
from hypervisor.agents.gemini.policy import policy
from hypervisor.system.errors import UsageError
from hypervisor.system.protected import FILES, FOLDERS
from repository import REPO


def test_the_policy_that_comes_with_the_prompt_is_the_program_s_own() -> None:
    assert (REPO / "prompts/gemini-task-worker.toml").read_text() == policy()


def test_a_policy_denies_by_default_and_grants_the_commands_of_the_queue() -> None:
    rules = tomllib.loads(policy(["npm test", "./check.sh"]))["rule"]
    assert (rules[0]["toolName"], rules[0]["decision"]) == ("*", "deny")
    assert min(rule["priority"] for rule in rules) == rules[0]["priority"]
    shell = [rule for rule in rules if rule["toolName"] == "run_shell_command"]
    assert [rule["commandPrefix"] for rule in shell] == [["npm test", "./check.sh"]]
    assert not [r for r in tomllib.loads(policy())["rule"] if "commandPrefix" in r]


def test_no_pattern_is_longer_than_the_client_takes() -> None:
    # It drops a rule with a longer one, and what that forbids would be allowed.
    rules = tomllib.loads(policy())["rule"]
    patterns = [rule["argsPattern"] for rule in rules if "argsPattern" in rule]
    assert patterns and max(map(len, patterns)) <= 2048


def test_the_worker_prompt_names_everything_that_is_off_limits() -> None:
    prompt = (REPO / "prompts/gemini-task-worker.md").read_text()
    assert not [name for name in FOLDERS + FILES if f"`{name}`" not in prompt]


@pytest.mark.parametrize(
    "command",
    ["", "npm test; git push", "a && b", "$(x)", "echo `x`", "a > b", "a\nb", "bash", "/bin/sh",
     "python3", "env", "x 'y'", "bash -c", "python3.12 -c", "timeout 60", "nice -n 5", "env A=b -i",
     "find .", "awk -v x=1", "npx --yes"],
)  # fmt: skip
def test_a_granted_command_is_plain_and_not_a_shell(command: str) -> None:
    with pytest.raises(UsageError):
        check_commands([command])


def test_plain_commands_are_granted_with_their_blanks_set_right() -> None:
    assert check_commands(["npm  test", "python3 check.py"]) == ["npm test", "python3 check.py"]
    assert check_commands(
        ["env CI=1 npm test", "python3 -m pytest", "python3 1_check.py", "git status"]
    )
