"""A folder reached by its descriptor, so that no link on the way leads anywhere else.

Names are single words below the folder. Folders below it are opened one level at a time, and a
link is never followed: where one stands, the system's own error (ELOOP, ENOTDIR) is raised.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from hypervisor.system.reading import MIB, NotReadable, read_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO, Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo in a file's place must not hold us up; on a plain file O_NONBLOCK has no effect.
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# More than any file has that we read whole; what is larger was not written by us.
LARGEST = 256 * MIB


class NotPlain(OSError):
    """Something else than a plain file stands where one of ours should be."""


class Folder:
    """A folder of the file system, open until this object goes.

    `path` is where it was when it was opened: for messages, and for programs that take a path.
    """

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        """Take over the descriptor `fd`."""
        self.fd = fd
        self.path = path

    @classmethod
    def at(cls, path: str, *, make: bool = False) -> Self:
        """Open the folder at `path`; with `make`, make it (mode 0700) and those above it.

        Links above its last name are followed, the last name's is not. Raises OSError.
        """
        try:
            return cls(os.open(path, _FOLDER), path)
        except FileNotFoundError:
            if not make:
                raise
        os.makedirs(path, mode=0o700, exist_ok=True)
        return cls(os.open(path, _FOLDER), path)

    def __del__(self) -> None:
        fd = getattr(self, "fd", -1)
        if fd >= 0:
            self.fd = -1
            os.close(fd)

    def close(self) -> None:
        """Close the descriptor now; closing again does nothing."""
        self.__del__()

    def below(self, *names: str, make: bool = False) -> Folder:
        """Return the folder `names[0]/names[1]/…` below this one; with `make`, make what is missing
        (mode 0700). Raises OSError."""
        fd, path = os.dup(self.fd), self.path
        try:
            for name in names:
                _check(name)
                path = f"{path}/{name}"
                if make:
                    try:
                        os.mkdir(name, 0o700, dir_fd=fd)
                    except FileExistsError:
                        pass
                inner = os.open(name, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return Folder(fd, path)

    def open(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """Open the plain file `name` and return its descriptor.

        Raises NotPlain for a device, a fifo, a socket, or a file that has a second name elsewhere,
        and OSError (ELOOP) for a link.
        """
        _check(name)
        truncate = flags & os.O_TRUNC
        fd = os.open(name, (flags & ~os.O_TRUNC) | _FILE, mode, dir_fd=self.fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise NotPlain(None, "not a plain file of ours", f"{self.path}/{name}")
            if truncate:
                os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def file(self, name: str, mode: str = "r") -> IO[str]:
        """Open the plain file `name` as text in UTF-8 with "r", "w" or "a"; see `open`."""
        flags = {
            "r": os.O_RDONLY,
            "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
            "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
        }[mode]
        return open(self.open(name, flags), mode, encoding="utf-8", errors="surrogateescape")

    def read(self, name: str, most: int = LARGEST) -> bytes:
        """Return the bytes of the plain file `name`. Raises OSError, NotPlain among them where it
        holds more than `most` bytes."""
        fd = self.open(name)
        try:
            size = os.fstat(fd).st_size
            if size <= most:
                return read_descriptor(fd, size, most)
        except NotReadable:
            # It has grown while it was read.
            pass
        finally:
            os.close(fd)
        raise NotPlain(errno.EFBIG, "larger than any file of ours", f"{self.path}/{name}")

    def write(self, name: str, data: bytes, *, sync: bool = False) -> None:
        """Have `name` be a file of mode 0600 that holds `data`: whole, or as it was before.

        What stood there under that name is replaced, never written into; with `sync` it is on the
        disk when this returns. Raises OSError.
        """
        _check(name)
        draft = f".{name[:100]}.{os.getpid()}.{os.urandom(4).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
        fd = os.open(draft, flags, 0o600, dir_fd=self.fd)
        try:
            try:
                write_all(fd, data)
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(draft, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            self.remove(draft)
            raise
        if sync:
            os.fsync(self.fd)

    def remove(self, name: str) -> bool:
        """Remove the file or link `name`; False if there is none. Raises OSError."""
        _check(name)
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            return False
        return True

    def remove_folder(self, name: str) -> bool:
        """Remove the folder `name` if it is empty; False if it isn't, or isn't there."""
        _check(name)
        try:
            os.rmdir(name, dir_fd=self.fd)
        except OSError:
            return False
        return True

    def look(self, name: str) -> os.stat_result | None:
        """Return what the system says of `name` itself, of a link too, or None."""
        _check(name)
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except (FileNotFoundError, ValueError):
            return None

    def names(self) -> list[str]:
        """Return the names in the folder, sorted. Raises OSError."""
        return sorted(os.listdir(self.fd))

    def locked(self, name: str) -> Lock:
        """Return the lock of the file `name`, waited for and held inside of `with`.

        The file is made if it is missing, and never written. Raises OSError.
        """
        return Lock(self.open(name, os.O_RDWR | os.O_CREAT), wait=True)

    def opened_lock(self, name: str) -> Lock:
        """Return the lock of the file `name`, as `locked` does but not taken yet: `try_lock` it."""
        return Lock(self.open(name, os.O_RDWR | os.O_CREAT), wait=False)


class Lock:
    """An exclusive lock (flock) of one process among all, on an open file; let go at the end of
    `with`."""

    __slots__ = ("_fd", "_wait")

    def __init__(self, fd: int, *, wait: bool) -> None:
        """Take over the descriptor `fd`."""
        self._fd = fd
        self._wait = wait

    def __enter__(self) -> Lock:
        if self._wait:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            except BaseException:
                os.close(self._fd)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def try_lock(self) -> bool:
        """Take the lock and return True, unless somebody else holds it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to the descriptor `fd`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def walk(folder: Folder, *names: str) -> Iterator[tuple[Sequence[str], str, os.stat_result]]:
    """Yield (folders above, name, status) of each plain file below `names`; links are passed by."""
    try:
        here = folder.below(*names)
    except OSError:
        return
    for name in here.names():
        status = here.look(name)
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from walk(folder, *names, name)
        elif stat.S_ISREG(status.st_mode):
            yield names, name, status


def _check(name: str) -> None:
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"not the name of a file: {name!r}")
