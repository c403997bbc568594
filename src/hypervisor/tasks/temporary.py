"""The hidden file beside a task file in which its next version is made."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import Folder, write_all
from hypervisor.system.late import late
from hypervisor.system.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SWEEP_SECONDS = 60.0
# Where Linux lists the files that this process has open.
_OPEN = "/proc/self/fd"
_TEMPORARY = late(r"\.hypervisor-[0-9a-f]{16}\.tmp")


class NotWritten(HypervisorError):
    """The file could not be replaced; it is as it was."""

    def __init__(self, path: str, why: str, fix: str = "") -> None:
        super().__init__(f"{path}: not written: {why}", fix)
        self.path = path
        self.why = why


def is_temporary(name: str) -> bool:
    """True for the name of a file that we are writing, or that a crash of ours has left."""
    return _TEMPORARY.fullmatch(name) is not None


def make(folder: str, mode: int) -> tuple[str, int]:
    """Return a hidden name in `folder` and a descriptor of a new file, which `give_name` gives it:
    a writer that is killed leaves nothing. Where the system has no file without a name, it has that
    one at once."""
    temporary = os.path.join(folder, f".hypervisor-{os.urandom(8).hex()}.tmp")
    unnamed = getattr(os, "O_TMPFILE", 0) if os.path.isdir(_OPEN) else 0
    if unnamed:
        try:
            return temporary, os.open(folder or ".", os.O_RDWR | unnamed | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return temporary, os.open(temporary, flags, mode)


def give_name(descriptor: int, name: str) -> None:
    """Give a file of `make` a name that nothing has, unless it has one. Raises OSError."""
    if not os.fstat(descriptor).st_nlink:
        # With a descriptor, whichever, Python has the system follow what /proc shows as a link.
        os.link(f"{_OPEN}/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)


def prepare(
    target: str, path: str, after: bytes, status: os.stat_result, source: int, *, sync: bool = True
) -> tuple[str, int]:
    """Write `after` beside `target`; return the hidden name that `give_name` gives it, and its
    descriptor.

    It is on the disk when this returns, unless `sync` is false: then its way there has begun.
    """
    temporary, descriptor = make(os.path.dirname(target), 0o600)
    try:
        # Tells the sweeper that somebody is at work.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_all(descriptor, after)
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
            try:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            except PermissionError:
                raise NotWritten(
                    path, "it belongs to somebody else", "run the command as the file's owner"
                ) from None
        _copy_attributes(source, descriptor)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        if sync:
            os.fsync(descriptor)
        elif hasattr(os, "posix_fadvise"):
            # The kernel starts to write what it is told that nobody needs in memory.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except BaseException:
        os.close(descriptor)
        remove(temporary)
        raise
    return temporary, descriptor


def _copy_attributes(source: int, target: int) -> None:
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            # Those of the system's own that only a privileged process may set.
            if error.errno not in (
                errno.EPERM, errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EACCES
            ):  # fmt: skip
                raise


def recovered(state: State) -> Callable[[], Folder]:
    """Return what opens the folder that keeps what killed writers left beside tasks."""
    return lambda: state.folder.below("recovered", make=True)


def sweep_temporaries(folder: str, keep: Callable[[], Folder]) -> int:
    """Move what killed writers left in `folder` to the folder that `keep` opens; return how many
    files.

    Only files named as we name them, a minute old, which no process holds. They are moved, not
    removed: one of them may be what an editor saved in the moment in which a writer was killed.
    """
    moved = 0
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_temporary(entry.name)]
    for name in names:
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            status = os.fstat(descriptor)
            # The ctime, too: a file that an exchange just brought out keeps its old mtime.
            if time.time() - max(status.st_mtime, status.st_ctime) < _SWEEP_SECONDS:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = keep()
            os.rename(path, name, dst_dir_fd=kept.fd)
            moved += 1
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return moved


def remove_ours(path: str, ours: int) -> None:
    """Remove a temporary file if it is the one that `ours` is open on. Raises OSError."""
    # After an exchange that could not be taken back, the name holds somebody's file: it stays.
    try:
        if os.stat(path).st_ino == os.fstat(ours).st_ino:
            os.unlink(path)
    except FileNotFoundError:
        pass


def remove(path: str) -> None:
    """Remove a temporary file, if it is still there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
