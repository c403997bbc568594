"""List prices: whose they are, and what a request costs by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.config import prices
from hypervisor.config.settings import load
from hypervisor.system.errors import UsageError


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "hypervisor" / "config.toml"
    path.parent.mkdir()
    return path


def test_each_kind_of_token_has_its_own_price() -> None:
    model = "claude-opus-5-5"
    million = 1_000_000
    kinds = [(million, 0, 0, 0), (0, million, 0, 0), (0, 0, million, 0), (0, 0, 0, million)]
    assert [prices.usd(model, one) for one in kinds] == [4, 20, 0.2, 5]
    assert prices.usd(model, (0, 0, 0, million), hour=million // 2) == 6.5


def test_a_long_request_costs_its_own_price_all_of_it() -> None:
    assert prices.usd("claude-haiku-5-5", (1000, 1000, 99_000, 0)) == pytest.approx(0.00159)
    assert prices.usd("claude-haiku-5-5", (1000, 1000, 99_000, 1)) == pytest.approx(0.007950625)


@pytest.mark.parametrize(
    "name",
    ["claude-opus-4-5-20251101", "claude-opus-4-5[1m]", "anthropic/claude-opus-4-5",
     "us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5@20251101"],
)  # fmt: skip
def test_a_model_is_known_by_each_way_in_which_it_is_written(name: str) -> None:
    assert prices.usd(name, (1_000_000, 0, 0, 0)) == 5


def test_what_is_not_on_the_list_has_no_price_but_a_short_name_may_have_one() -> None:
    assert prices.usd("a-new-model", (1, 1, 1, 1)) is None
    assert prices.usd("gpt-6-luna", (300_000, 1, 0, 0)) is None
    assert [prices.may_be_priced(name) for name in ("haiku", "opus[1m]", "a-new-model")] == [
        True, True, False,
    ]  # fmt: skip


def test_the_user_s_own_prices_go_first_and_a_project_has_none(mine: Path, tmp_path: Path) -> None:
    mine.write_text("[prices]\nclaude-opus-5-5 = { input = 1, output = 2 }\n")
    assert prices.usd("claude-opus-5-5", (1_000_000, 0, 1_000_000, 1_000_000)) == 3
    project = tmp_path / "project"
    project.mkdir()
    load(str(project))
    (project / "hypervisor.toml").write_text(mine.read_text())
    with pytest.raises(UsageError, match="unknown key prices"):
        load(str(project))


@pytest.mark.parametrize(
    "line", ["m = 3", "m = { input = 1 }", 'm = { input = 1, output = "2" }',
             "m = { input = 1, output = -2 }", "m = { input = 1, output = 2, inptu = 3 }"],
)  # fmt: skip
def test_odd_prices_are_refused_with_an_example(mine: Path, line: str) -> None:
    mine.write_text(f"[prices]\n{line}\n")
    with pytest.raises(UsageError, match=r"prices.m is not a price"):
        prices.of("m")
