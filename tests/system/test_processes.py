"""Other programs, run to their end."""

from __future__ import annotations

import os
import threading

import pytest

from hypervisor.system import processes


def test_a_program_that_is_slow_to_read_gets_more_than_a_pipe_holds() -> None:
    words = ["sh", "-c", "sleep 0.3; wc -c"]
    code, out, _ = processes.run(words, cwd="/", env=os.environ, seconds=5, input=b"x" * 200_000)
    assert (code, int(out)) == (0, 200_000)


def test_a_program_that_prints_without_end_is_ended() -> None:
    with pytest.raises(processes.Overtime, match="it printed more than 1 MB"):
        processes.run(["yes"], cwd="/", env=os.environ, seconds=60, most=1 << 20)


def test_what_is_to_be_done_beside_is_done_here_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert processes.within(1, lambda: threading.current_thread()) is threading.main_thread()
