"""A check that a queue's owner asked for (`hypervisor check`), run before an item is done.

The command is the owner's own words, never an item's: what it judges reaches it on its standard
input and by variables (see `evidence`).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from hypervisor.system.folder import Folder, Lock
from hypervisor.system.processes import exit_text, obey, requests_to_end
from hypervisor.system.redact import secrets
from hypervisor.system.spans import span
from hypervisor.system.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from hypervisor.worker.evidence import Evidence

_TICK = 0.05
_ASKING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
# So much is shown of the end of its output; its last line may be longer.
_TAIL, _KEPT = 2000, 1 << 16
_CHUNK, _CHUNKS = 1 << 16, 64
_SHOWN = 10
# Names the item's claim, which is no secret to its own check.
_CLAIM = "HYPERVISOR_TOKEN"


class Checked:
    """How a check ended: `ok`, `why` it failed, the `seconds` it took, the `tail` of its output, as
    it was printed, the variables that it ran `without`, and the JSON object that its last line
    `said`, None where that is none."""

    def __init__(self, ok: bool, output: str, why: str, seconds: float, without: list[str]) -> None:
        self.ok = ok
        self.tail = output[-_TAIL:]
        self.said = _object(output.rpartition("\n")[2])
        self.why = why
        self.seconds = seconds
        self.without = without

    @property
    def lacked(self) -> str:
        """What to say of the variables that it ran without, as the end of a sentence."""
        if not self.without:
            return ""
        shown = listed(self.without, _SHOWN, 60)
        return f". It ran without {shown}, which look like secrets"


def without(keep: Collection[str] = ()) -> list[str]:
    """Return the variables of this environment that a check runs without: what looks like a secret
    and is not among `keep`. Sorted."""
    return [name for name in secrets(os.environ) if name not in keep and name != _CLAIM]


def check(
    command: str,
    evidence: Evidence,
    *,
    root: str,
    turns: Folder,
    limit: float,
    beat: Callable[[], None],
    beat_every: float = 30,
    keep: Collection[str] = (),
    marks: Mapping[str, str] | None = None,
) -> Checked:
    """Run `command` as `sh -c` in `root`, in its own process group, for at most `limit` seconds.

    Of the environment it gets what doesn't look like a secret, the variables `keep`, `marks`, and
    the `evidence`, which stands in its standard input as well.
    One check at a time runs where checks share the folder `turns`; `beat` is called every
    `beat_every` seconds, while waiting too, so that the caller can renew its lease. Whatever ends
    the caller, short of SIGKILL, ends the check. Raises OSError.
    """
    left_out = without(keep)
    told = {**os.environ, **(marks or {}), **evidence.environment()}
    environment = {
        name: value for name, value in told.items() if value is not None and name not in left_out
    }
    with turns.opened_lock("verify.lock") as turn, requests_to_end(_ASKING) as requests:
        wait_for_turn(turn, beat, beat_every, requests=requests)
        with tempfile.TemporaryFile() as given:
            # A file: a check need not read it.
            given.write(evidence.text().encode("utf-8", "replace"))
            given.seek(0)
            run = _run(command, root, environment, given, limit, beat, beat_every, requests)
    why, output, seconds = run
    return Checked(not why, output, why, seconds, left_out)


def wait_for_turn(
    turn: Lock,
    beat: Callable[[], None],
    beat_every: float,
    seconds: float | None = None,
    requests: Sequence[int] = (),
) -> bool:
    """Take the lock `turn`, with `beat` called every `beat_every` seconds meanwhile; False if
    it is another's for `seconds` on end. `requests` to end are obeyed."""
    begun = time.monotonic()
    next_beat = begun + beat_every
    while True:
        if turn.try_lock():
            return True
        time.sleep(_TICK)
        obey(requests)
        now = time.monotonic()
        if seconds is not None and now - begun > seconds:
            return False
        if now >= next_beat:
            beat()
            next_beat = now + beat_every


def _run(
    command: str,
    root: str,
    environment: Mapping[str, str],
    given: IO[bytes],
    limit: float,
    beat: Callable[[], None],
    beat_every: float,
    requests: Sequence[int],
) -> tuple[str, str, float]:
    """Return why the check failed ("" if it passed), the end of its output, and its seconds."""
    begin = time.monotonic()
    next_beat, why, tail = begin + beat_every, "", b""
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=root,
        env=environment,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout, selectors.DefaultSelector() as selector:
        output = process.stdout.fileno()
        os.set_blocking(output, False)
        selector.register(output, selectors.EVENT_READ)
        try:
            while process.poll() is None and not requests:
                now = time.monotonic()
                if now - begin > limit:
                    why = f"it ran longer than {span(limit)}"
                    break
                if now >= next_beat:
                    beat()
                    next_beat = now + beat_every
                if selector.select(_TICK):
                    # However much it prints, the end of it is all that is ever kept.
                    chunk = os.read(output, _CHUNK)
                    tail = (tail + chunk)[-_KEPT:]
                    if not chunk:
                        selector.unregister(output)
        finally:
            # What the check left running in its group goes with it.
            _end_group(process)
        obey(requests)
        try:
            # What has left the group may print on for ever.
            for _ in range(_CHUNKS):
                tail = (tail + os.read(output, _CHUNK))[-_KEPT:]
        except BlockingIOError:
            pass
    if not why and process.returncode != 0:
        why = f"it ended with {exit_text(process.returncode)}"
    return why, tail.decode("utf-8", "replace").strip(), time.monotonic() - begin


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _object(line: str) -> dict[str, object] | None:
    """Return the JSON object that a line is, None for any other."""
    if not line.startswith("{"):
        return None
    import json

    try:
        told = json.loads(line)
        # What is no JSON, though Python reads it, is not text either.
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
