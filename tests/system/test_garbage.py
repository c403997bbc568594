"""When Python looks for what nobody can reach, and when it does not."""

from __future__ import annotations

import gc

import pytest

from hypervisor.system.garbage import nothing_collected


def test_nothing_is_collected_meanwhile_and_afterwards_it_is_as_it_was() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), nothing_collected():
        assert not gc.isenabled()
        with nothing_collected():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
