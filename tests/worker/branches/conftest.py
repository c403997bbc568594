from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _identity(identity: None) -> None:
    """Every test here commits."""
