"""Modules that are loaded when they are asked for, or ahead of that."""

from __future__ import annotations

import sys

from hypervisor.system.lazy import all_modules
from repository import REPO


def test_what_is_left_of_the_program_is_loaded_module_by_module() -> None:
    source = REPO / "src"
    modules = {
        ".".join(path.relative_to(source).with_suffix("").parts)
        for path in (source / "hypervisor").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert modules <= set(all_modules(but="hypervisor."))
    for name in all_modules(but="hypervisor.agents"):
        assert name in sys.modules or name.startswith("hypervisor.agents")
        if name == "hypervisor.cli.colour":
            break
