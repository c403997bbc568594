"""The configuration of a Codex CLI worker: closed, and nothing of anybody else's."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.codex import profile
from hypervisor.agents.codex.client import PROMPT, Codex, check_words
from hypervisor.system.errors import HypervisorError
from repository import REPO


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def told(root: Path, server: str = "") -> dict[str, Any]:
    return tomllib.loads(profile.config(str(root), str(root), root.parent / "home", server))


def test_what_steers_and_is_there_is_read_only_and_what_is_missing_is_not_named(
    root: Path,
) -> None:
    for name in (".hypervisor/x", ".git/HEAD", ".claude/a/b.json", "in/AGENTS.md", "in/other.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in (".codex", ".cursor"):
        (root / name).mkdir()
    (root / "CLAUDE.md").symlink_to("in/AGENTS.md")
    inside = told(root)["permissions"]["worker"]["filesystem"][":workspace_roots"]
    assert inside == {".": "write"} | dict.fromkeys(
        (".claude", ".cursor", ".hypervisor", "in/AGENTS.md"), "read"
    )


def test_keys_are_for_the_client_alone_and_logins_are_read_by_no_worker(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Path.home() / ".codex/auth.json"
    login.parent.mkdir(parents=True)
    login.touch()
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-a-test")
    made = told(root)
    assert made["permissions"]["worker"]["filesystem"][str(login)] == "deny"
    assert made["permissions"]["worker"]["network"] == {"enabled": False}
    # The client's own service, whose address hangs on the kind of login.
    assert "base_url" not in made["model_providers"]["worker"]
    assert "secret-of-a-test" not in str(made)
    assert not [name for name in made["shell_environment_policy"]["include_only"] if "KEY" in name]
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example.org/v1")
    own = told(root)["model_providers"]["worker"]
    assert (own["base_url"], own["env_key"]) == ("https://models.example.org/v1", "CODEX_API_KEY")


def test_the_server_is_asked_for_and_a_password_is_passed_by_name(root: Path) -> None:
    server = profile.server("/bin/hv", "q", "/r", True, ["HYPERVISOR_STORE"], {"A": 'b"c'})
    made = told(root, server)["mcp_servers"]["task_manager"]
    assert made["args"] == ["serve", "--queue", "q", "--here"] and made["required"] is True
    assert (made["env_vars"], made["env"]) == (["HYPERVISOR_STORE"], {"A": 'b"c'})


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "danger-full-access"], ["--sandbox=workspace-write"], ["--full-auto"],
        ["--dangerously-bypass-approvals-and-sandbox"], ["-c", 'sandbox_mode="x"'],
        ["--config=permissions.worker.network.enabled=true"], ["--add-dir", "/"], ["-C", "/"],
        ["-m", "x", "--profile", "mine"], ["-c"], ["resume"], ["--enable", "apps"],
    ],
)  # fmt: skip
def test_no_word_of_a_user_s_opens_the_profile(words: list[str]) -> None:
    with pytest.raises(HypervisorError, match="profile of its own"):
        check_words(words)


def test_a_model_and_how_it_thinks_may_be_said() -> None:
    check_words(["-m", "x", "--model=y", "-c", 'model_reasoning_effort="low"', "-i", "a.png"])


def test_the_prompt_names_each_tool_as_the_model_knows_it() -> None:
    text = (REPO / PROMPT).read_text()
    assert not [name for name in profile.TOOLS if f"`mcp__task_manager__{name}`" not in text]


def test_what_a_killed_sandbox_has_laid_into_a_project_goes_and_nothing_else(root: Path) -> None:
    for name in (".agents", ".aws", ".codex", ".cursor"):
        (root / name).mkdir()
    (root / ".codex/config.toml").touch()
    Codex(None, 1, []).clear_away(str(root))
    assert sorted(path.name for path in root.iterdir()) == [".codex", ".cursor"]
