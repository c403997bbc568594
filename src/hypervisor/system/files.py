"""Files: how one looks from outside, and one written whole."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def fingerprint(path: str) -> str | None:
    """Return how the file at `path` looks from outside, None if there is none.

    A link is looked at itself. Any change of a file changes it: its times can be set back, the time
    of the last change of what the system knows of it (ctime) can't.
    """
    try:
        return fingerprint_of(os.lstat(path))
    except OSError:
        return None


def fingerprint_of(status: os.stat_result) -> str:
    """Return the fingerprint in a `stat` result."""
    return joined(
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode
    )


def joined(size: int, mtime_ns: int, ctime_ns: int, inode: int, mode: int) -> str:
    """Return a fingerprint made from its parts."""
    return f"{size}-{mtime_ns}-{ctime_ns}-{inode}-{mode:o}"


def is_same(kept: str | None, now: str | None) -> bool:
    """True if a fingerprint that was kept, maybe by an earlier version, is that of a file that
    looks as `now`. 0.1.0 kept those of tasks without the mode, those of other files without the
    ctime, too."""
    if kept == now or kept is None or now is None:
        return kept == now
    old, new = kept.split("-"), now.split("-")
    return old in (new[:4], [*new[:2], new[3]])


def write_whole(
    path: str, data: bytes | Iterable[bytes], *, mode: int | None = 0o600, sync: bool = True
) -> None:
    """Have `path` hold `data`, or what it held before: never a part. Raises OSError.

    What stands there is replaced, a link too; `mode` None leaves that to the umask. `sync` brings
    the bytes to the disk before they get their name; leave it out for what can be made again.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666 if mode is None else 0o600)
    try:
        with open(descriptor, "wb") as out:
            out.writelines([data] if isinstance(data, bytes) else data)
            out.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
