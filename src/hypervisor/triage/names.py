"""The names that triage assigns tasks to: nobody's but those that the settings say."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.config import preset
from hypervisor.config.settings import TriageSettings

_WHAT = {"judgement": "what needs a person", "automatable": "what a worker can do"}


class Unnamed(NamedTuple):
    """Keys of `[triage]` that name nobody, what is not assigned for that, and the mend."""

    keys: tuple[str, ...]
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}, since nobody is named for it: {self.mend}"


def unnamed(rules: TriageSettings, met: set[str]) -> Unnamed | None:
    """Return who is to be named so that all can be assigned, None if that is said.

    `met` are the assignees that tasks have, in lower case: they may be those of a preset.
    """
    keys = tuple(key for key in _WHAT if not getattr(rules, key))
    if not keys:
        return None
    what = "nothing is assigned" if len(keys) > 1 else f"{_WHAT[keys[0]]} is not assigned"
    lines = ", ".join(f'{key} = "NAME" for {_WHAT[key]}' for key in keys)
    mend = f"[triage] {lines}"
    shipped = preset.knowing(met)
    if shipped is not None:
        mend = f'preset = "{shipped}", whose names some tasks have, or {mend}'
    return Unnamed(keys, what, f"in hypervisor.toml: {mend}")
