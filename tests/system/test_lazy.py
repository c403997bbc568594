"""Modules that are loaded when they are asked for, or ahead of that."""

from __future__ import annotations

import os
import sys

import forked
from hypervisor.system.lazy import all_modules
from repository import REPO


def test_who_has_loaded_all_goes_on_without_the_program() -> None:
    assert forked.VERBS, "most is loaded already"
    pid = os.fork()
    if not pid:
        left = set(all_modules("hypervisor.agents"))
        sources = {
            ".".join(path.relative_to(REPO / "src").with_suffix("").parts)
            for path in (REPO / "src/hypervisor").rglob("*.py")
            if path.name != "__init__.py"
        }
        others = {name for name in sources if not name.startswith("hypervisor.agents.")}
        os._exit(int(not (sources <= left and others <= sys.modules.keys())))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
