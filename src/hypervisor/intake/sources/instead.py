"""What a source holds in which nothing was found to work on."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice

from hypervisor.system.text import count, one_line
from hypervisor.tasks import formats

# A folder is looked at no further: enough to see that it is another one than was meant.
_LOOKED_AT = 10_000
_SHOWN = 4
_TABLES = (".csv", ".tsv")


def found_instead(spec: str, cwd: str) -> str | None:
    """Return in words what the folder or table `spec` holds that could be read, None where it is
    neither."""
    folder = os.path.join(cwd, spec)
    if spec.endswith(_TABLES) and os.path.isfile(folder):
        return f"{one_line(spec, 200)} has a header and no rows"
    if not os.path.isdir(folder):
        return None
    kinds: Counter[str] = Counter()
    folders = 0
    with os.scandir(folder) as entries:
        for entry in islice(entries, _LOOKED_AT):
            if entry.is_dir(follow_symlinks=False):
                folders += 1
            else:
                kinds[os.path.splitext(entry.name)[1] or "other"] += 1
    told = [
        count(number, f"{one_line(kind, 20)} file") for kind, number in kinds.most_common(_SHOWN)
    ]
    told += [count(folders, "folder")] if folders else []
    if not told:
        return f"{one_line(spec, 200)} holds nothing"
    mend = "name one of them, or add --instructions FILE to work on any file"
    return f"{one_line(spec, 200)} holds {', '.join(told)}; {mend}"


def hidden_instead(spec: str, cwd: str) -> str | None:
    """Return in words which hidden folders, into which no walk goes, a format has in the folder
    `spec`; None for none."""
    folder = os.path.join(cwd, spec)
    if not os.path.isdir(folder):
        return None
    told: dict[str, str] = {}
    for name, (_module, marks) in formats.TASK_FILES.items():
        hidden = [mark for mark in marks if mark.startswith(".")]
        told |= {mark: name for mark in hidden if os.path.isdir(os.path.join(folder, mark))}
    for entry in sorted(os.listdir(folder)):
        if entry.startswith(".") and (own := formats.in_folder(os.path.join(folder, entry))):
            told[entry] = own[0][0].name
    if not told:
        return None
    shown = ", ".join(f"{one_line(one, 60)} ({name})" for one, name in told.items())
    return f"{one_line(spec, 200)} holds {shown}, which is hidden: name it to work on it"
