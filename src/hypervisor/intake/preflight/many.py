"""The first look at very many files, taken by several processes at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from itertools import chain, islice

from hypervisor.intake.preflight.look import Look, Seen
from hypervisor.intake.sources import Found

# So many files are worth asking others for help: starting them takes as long as half of these.
_FEW = 1_000
_AT_ONCE = 200
_MOST = 8
# So many parts for each are under way: the next is there when one is done.
_AHEAD = 4

_look: Look


def look_at(look: Look, found: Iterable[Found]) -> None:
    """Take the members of sources into `look`, as if one after the other."""
    members = iter(found)
    while first := list(islice(members, _FEW)):
        if len(first) == _FEW and all(map(_is_for_others, first)) and (count := _processes()) > 1:
            _share(look, chain(first, members), count)
        else:
            for member in first:
                look.at(member)


def _is_for_others(member: Found) -> bool:
    """False for a row, which is sooner looked at than sent, and for one of many items of a file."""
    return not (member.row or member.item)


def _processes() -> int:
    """Return how many processes may look; one where others can't be made as copies of this one."""
    if not sys.platform.startswith("linux"):
        return 1
    return min(_MOST, len(os.sched_getaffinity(0)))


def _share(look: Look, members: Iterable[Found], count: int) -> None:
    """Take `members` in with the help of `count` processes, as long as they live."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    waiting: deque[tuple[list[Found], Future[Seen | None] | None]] = deque()
    fork = get_context("fork")
    with ProcessPoolExecutor(count, fork, _begin, (look, os.getpid())) as helpers:
        try:
            while part := list(islice(members, _AT_ONCE)):
                waiting.append((part, None))
                if all(map(_is_for_others, part)):
                    waiting[-1] = (part, helpers.submit(_seen, part))
                if len(waiting) > _AHEAD * count:
                    _take_in(look, *waiting[0])
                    waiting.popleft()
            while waiting:
                _take_in(look, *waiting[0])
                waiting.popleft()
        except BrokenProcessPool:
            # The system has killed one: what is left is looked at here.
            for part, _ in waiting:
                _take_in(look, part, None)


def _take_in(look: Look, part: list[Found], told: Future[Seen | None] | None) -> None:
    seen = None if told is None else told.result()
    if seen is None or not look.take_in(seen):
        for member in part:
            look.at(member)


def _begin(look: Look, parent: int) -> None:
    global _look
    _look = look
    look.give_out()
    # Who has started us ends us, and is the one whom a person stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _seen(part: list[Found]) -> Seen | None:
    """Look at a part of the members; None where that raises what the caller is to hear of."""
    try:
        for member in part:
            _look.at(member)
    except Exception:
        _look.give_out()
        return None
    return _look.give_out()
