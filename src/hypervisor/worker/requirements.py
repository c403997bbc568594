"""What `done` will ask for, told with the item: a refused `done` costs a worker a whole turn.

It is a hint, taken from the file's text without parsing it, so that a claim stays cheap: `done`
itself decides (see `checks`). A box in a block of code makes it say too much, nothing too little.
"""

from __future__ import annotations

import os

from hypervisor.ledger.check import CHANGED, NAMED
from hypervisor.system.reading import KIB, NotReadable, read_start
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Claim

_LOOKED_AT = 256 * KIB
_BUILT_IN = {
    NAMED: "no file is changed that the task doesn't name",
    CHANGED: "a file is changed for it",
}
_OPEN_BOX = rb"(?m)^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[ \][ \t]"
_ACCEPTANCE = rb"(?mi)^ {0,3}#{1,6}[ \t]+acceptance"


def asks(root: str, claim: Claim) -> list[str]:
    """Return what has to hold before `claim` counts as done, one line for each, none where nothing
    is asked; `root` is the project's."""
    asked = []
    # Only tasks have a fingerprint; see `outbox.is_task`.
    if claim.file is not None and claim.fingerprint is not None:
        asked += _boxes(os.path.join(root, claim.file))
    for check in claim.checks:
        told = _BUILT_IN.get(check.name, "") if check.command is None else ""
        asked.append(told or f"this passes, and done runs it: {one_line(check.command, 400)}")
    return asked


def _boxes(path: str) -> list[str]:
    try:
        text = read_start(path, _LOOKED_AT)
    except (OSError, NotReadable):
        return []
    if b"[ ]" not in text:
        return []
    # Costs a third of a claim to import.
    import re

    if not re.search(_OPEN_BOX, text):
        return []
    which = "boxes under Acceptance" if re.search(_ACCEPTANCE, text) else "file's boxes"
    return [f"the {which} are ticked"]
