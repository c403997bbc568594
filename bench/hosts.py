"""Hosts out of network namespaces: a switch with a server on it, and machines that can be cut off.

Each host has an address, a name, processes and a clock of its own; only the disk is shared, and
nothing uses that. Needs root (`ip netns`, `unshare`) and, for clocks that differ, libfaketime.
"""

from __future__ import annotations

import ctypes
import glob
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

SERVER = "10.77.0.1"
_CLONE_NEWNET = 0x40000000
_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Hosts:
    """A network of `names`; its switch is the machine that the servers stand on."""

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"hv{os.getpid()}"
        self._spaces: list[str] = []
        self._lock = threading.Lock()
        try:
            self._lay(names)
        except BaseException:
            self.close()
            raise

    def _lay(self, names: Sequence[str]) -> None:
        switch = self._space("switch")
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "address", "add", f"{SERVER}/24", "dev", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        _ip("-n", switch, "link", "set", "lo", "up")
        for number, name in enumerate(names, 2):
            space = self._space(name)
            _ip(
                "-n", switch, "link", "add", name, "type", "veth",
                "peer", "name", "eth0", "netns", space,
            )  # fmt: skip
            _ip("-n", switch, "link", "set", name, "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def _space(self, name: str) -> str:
        space = self._of(name)
        _ip("netns", "add", space)
        self._spaces.append(space)
        return space

    def _of(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def cut(self, name: str) -> None:
        """Take a host off the network, as a pulled cable does."""
        _ip("-n", self._of("switch"), "link", "set", name, "down")

    def join(self, name: str) -> None:
        """Plug its cable in again."""
        _ip("-n", self._of("switch"), "link", "set", name, "up")

    @contextmanager
    def within(self, name: str = "switch") -> Iterator[None]:
        """Let what this thread starts live on that host's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            self._lock,
            open("/proc/thread-self/ns/net", "rb") as own,
            open(f"/run/netns/{self._of(name)}", "rb") as other,
        ):
            _enter(libc, other.fileno())
            try:
                yield
            finally:
                _enter(libc, own.fileno())

    def start(self, name: str, words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command as the first process of a machine: when it is killed, all of it is."""
        apart = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        # libfaketime names its semaphores by a process's number, and each host has its own numbers.
        own = f"hostname {name} && mount -t tmpfs memory /dev/shm"
        named = ["sh", "-c", f'{own} && exec "$@"', "sh"]
        with self.within(name):
            return subprocess.Popen([*apart, *named, *words], **options)

    def close(self) -> None:
        """Remove the network. What still runs there has no way out."""
        for space in self._spaces:
            told = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
            for pid in told.stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            subprocess.run(["ip", "netns", "delete", space], check=False)
        self._spaces.clear()


def clock(offset: str) -> dict[str, str]:
    """Return the environment in which the time of day is off by `offset`, as +600s.

    The library makes the monotonic clock follow: told not to, it breaks absolute sleeps.
    """
    found = glob.glob(_FAKETIME)
    if not found:
        raise SystemExit("libfaketime is not installed; apt-get install faketime")
    return {"LD_PRELOAD": found[0], "FAKETIME": offset}


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _enter(libc: ctypes.CDLL, space: int) -> None:
    if libc.setns(space, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
