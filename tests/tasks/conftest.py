"""What the tests of tasks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.config.settings import Settings, load


@pytest.fixture
def defaults(tmp_path: Path) -> Settings:
    """The settings of a project without any."""
    return load(str(tmp_path))
