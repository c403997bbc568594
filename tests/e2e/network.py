"""A network that holds a loopback and nothing else, shared by the model server and the clients.

A small process lives in its own network namespace. It makes listening sockets there and hands
them to the test process, so that the model can stay a thread of the test; clients are started
inside with `nsenter`. The test process itself keeps its normal network (npm needs it).
Where namespaces are not permitted, everything runs on the machine's own loopback, and
`Network.private` is false.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import warnings

_HOLDER = """
import fcntl, socket, struct, sys
SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
parent = socket.socket(fileno=int(sys.argv[1]))
parent.sendall(b"+")
while parent.recv(1):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        socket.send_fds(parent, [b"+"], [listener.fileno()])
"""

# So many seconds a test waits for what should come: a machine may be very busy, and only a test
# that fails waits to the end.
PATIENCE = 150


class Network:
    """Open with `Network()`, end with `close()`; the namespace ends with the test process too."""

    def __init__(self) -> None:
        self.private = False
        self.prefix: list[str] = []  # put before a command line to run it inside
        self._holder: subprocess.Popen[bytes] | None = None
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            self._warn("unshare and nsenter are not installed")
        elif not any(self._try(flags) for flags in self._candidates()):
            self._warn("network namespaces are not permitted")

    @staticmethod
    def _candidates() -> list[list[str]]:
        as_user = ["--map-root-user", "--net"]
        return [["--net"], as_user] if os.geteuid() == 0 else [as_user]

    def _try(self, flags: list[str]) -> bool:
        ours, theirs = socket.socketpair()
        with theirs:
            holder = subprocess.Popen(
                ["unshare", *flags, sys.executable, "-Ic", _HOLDER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        if ours.recv(1) != b"+":
            holder.wait()
            ours.close()
            return False
        self._holder, self._socket, self.private = holder, ours, True
        user = ["--user", "--preserve-credentials"] if "--map-root-user" in flags else []
        self.prefix = ["nsenter", "--target", str(holder.pid), *user, "--net", "--"]
        return True

    @staticmethod
    def _warn(why: str) -> None:
        warnings.warn(f"clients run on the machine's own loopback: {why}", stacklevel=3)

    def listen(self) -> socket.socket:
        """A listening TCP socket on 127.0.0.1 of this network, at a free port."""
        if self._holder is None:
            return socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socket.sendall(b"L")
        _, fds, _, _ = socket.recv_fds(self._socket, 1, 1)
        return socket.socket(fileno=fds[0])

    def close(self) -> None:
        if self._holder is not None:
            self._socket.close()
            self._holder.wait(10)
            self._holder = None
