"""Where Claude Code keeps the transcripts of one worker."""

from __future__ import annotations

import os

from hypervisor.agents.transcripts import rows_of
from hypervisor.system.reading import at, json_rows


def of_worker(path: str) -> list[str]:
    """Return all transcripts of the worker that has written `path`, the oldest first.

    They have one name, each in the folder of one of its client's sessions.
    """
    above, name = os.path.split(path)
    session, folder = os.path.split(above)
    if folder != "subagents":
        return [path]
    project = os.path.dirname(session)
    try:
        sessions = [entry.name for entry in os.scandir(project) if entry.is_dir()]
    except OSError:
        return [path]
    all_of_it = (os.path.join(project, entry, folder, name) for entry in sessions)
    found = [each for each in all_of_it if os.path.isfile(each)]
    return sorted(found, key=_begun) if len(found) > 1 else found or [path]


def _begun(path: str) -> str:
    """Return when the first row of a transcript that has a time was written, as it stands there."""
    try:
        for row in json_rows(rows_of(path)):
            if isinstance(begun := at(row, "timestamp"), str):
                return begun
    except OSError:
        pass
    return ""
