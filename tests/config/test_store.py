"""Which store the user's own configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.store_files import NAMED, REFUSED
from hypervisor.config import store
from hypervisor.config.roots import user_file
from hypervisor.system.errors import UsageError


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own configuration, which is not there yet."""
    monkeypatch.delenv(store.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = Path(user_file())
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(("text", "address"), NAMED)
def test_the_store_is_what_toml_says(own: Path, text: str, address: str | None) -> None:
    own.write_text(text, encoding="utf-8", newline="")
    assert store.address() == address


@pytest.mark.parametrize("text", REFUSED)
def test_what_names_no_store_is_told_with_the_place(own: Path, text: str) -> None:
    own.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UsageError, match=r"config\.toml"):
        store.address()
