"""Replace a task file whole, or not at all, and never over somebody's newer version of it.

- A reader sees the old file or the new one, and so does everyone after a crash.
- Two of our writers exclude each other across processes, by a lock on the file itself.
- An editor that replaces the file by a rename wins at any moment: the two names are exchanged, the
  file that came out is looked at, and if it isn't what the edit was planned on, it goes back and
  FileChanged is raised. This takes a system that can exchange two names: Linux, macOS.
- An editor that writes in place wins too: while the exchange is made and looked at, nobody can have
  the file open for writing or open it so. This takes a lease: Linux, as the file's owner or root.

What remains: where names can't be exchanged, a change between the last look and the rename is lost;
where there is no lease, what a program writes after the exchange into a file that it opened
before. Between an exchange and its taking back, for some microseconds, others see our version; a
process that is killed just there leaves the editor's version under its temporary name.

A file with several hard links gets a new file at this name; the others keep the old one.
"""

from __future__ import annotations

import errno
import os

from hypervisor.system.errors import FileChanged, mend_of
from hypervisor.system.reading import NotReadable, read_file
from hypervisor.system.records import NamedTuple
from hypervisor.tasks import guard
from hypervisor.tasks.read import LARGEST, NO_IDENTITY, Document, Identity, identity_of
from hypervisor.tasks.rename import Swap
from hypervisor.tasks.temporary import (
    NotWritten,
    give_name,
    prepare,
    remove_ours,
    sweep_temporaries,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "NotWritten",
    "Seen",
    "look",
    "replace",
    "replace_many",
    "sweep_temporaries",
    "sync_folders",
]

# Some file systems have no second name for a file.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# New files that are on their way to the disk at once: each keeps a descriptor open.
_TOGETHER = 64


class Seen(NamedTuple):
    """A file as somebody saw it: what an edit was planned on."""

    raw: bytes
    identity: Identity


def look(path: str) -> Seen:
    """Return the bytes and identity of a file, whatever is in it. Raises OSError."""
    try:
        raw, status = read_file(path, LARGEST)
    except NotReadable as error:
        raise OSError(errno.EINVAL, error.what, path) from None
    return Seen(raw, identity_of(status))


def replace(
    path: str, seen: Document | Seen, after: bytes, *, sync_folder: bool = True
) -> Identity:
    """Replace the file at `path`, last seen as `seen`, by `after`; return its new identity.

    Mode, owner and extended attributes are kept; where `path` is a symbolic link, the file that it
    leads to is replaced. The bytes are on the disk before the name changes; the folder's entry is
    if `sync_folder`, else call `sync_folders` once for many files. Raises FileChanged if the file
    is not what was seen, and NotWritten, with the file as it was, if it can't be replaced.
    """
    new = _replace(path, seen, after, None)
    if sync_folder:
        try:
            sync_folders([path])
        except OSError as error:
            raise NotWritten(path, error.strerror or str(error), mend_of(error)) from None
    return new


def replace_many(
    edits: Sequence[tuple[str, Document | Seen, bytes]],
) -> list[Identity | FileChanged | NotWritten]:
    """Replace many files as `replace` does; return for each its identity, or why it is as it was.

    The new files are written first and brought to the disk together, which takes half the time.
    Raises OSError if a folder can't be synced.
    """
    results: list[Identity | FileChanged | NotWritten] = []
    for start in range(0, len(edits), _TOGETHER):
        results += _replace_together(edits[start : start + _TOGETHER])
    pairs = zip(edits, results, strict=True)
    sync_folders(edit[0] for edit, result in pairs if isinstance(result, Identity))
    return results


def _replace_together(
    edits: Sequence[tuple[str, Document | Seen, bytes]],
) -> Iterator[Identity | FileChanged | NotWritten]:
    staged: list[tuple[str, int] | None] = []
    try:
        for edit in edits:
            staged.append(_stage(*edit))
        for place, one in enumerate(staged):
            if one is not None and not _synced(one):
                # `_replace` tries once more, and says what is wrong.
                staged[place] = None
        for place, edit in enumerate(edits):
            one, staged[place] = staged[place], None
            try:
                yield _replace(*edit, one)
            except (FileChanged, NotWritten) as error:
                yield error
    finally:
        for one in staged:
            if one is not None:
                _drop(one)


def _synced(staged: tuple[str, int]) -> bool:
    try:
        os.fsync(staged[1])
    except OSError:
        _drop(staged)
        return False
    return True


def _drop(staged: tuple[str, int]) -> None:
    remove_ours(*staged)
    os.close(staged[1])


def _stage(path: str, seen: Document | Seen, after: bytes) -> tuple[str, int] | None:
    """Write the new version of a file beside it; None where `_replace` has to do or refuse it.

    The file isn't locked for this: that it is still what was seen, mode and owner included, is
    looked at when the names are exchanged.
    """
    if seen.identity == NO_IDENTITY:
        return None
    target = _target(path)
    try:
        source = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = guard.check(source, target, path, seen.raw, seen.identity)
            guard.check_writable(status, target, path)
            return prepare(target, path, after, status, source, sync=False)
        finally:
            os.close(source)
    except (OSError, FileChanged, NotWritten):
        return None


def _replace(
    path: str, seen: Document | Seen, after: bytes, staged: tuple[str, int] | None
) -> Identity:
    target = _target(path)
    temporary, ours = staged or ("", -1)
    locked = -1
    try:
        try:
            locked = guard.lock(target, path)
            if ours < 0:
                status = guard.check(locked, target, path, seen.raw, seen.identity)
                guard.check_writable(status, target, path)
                temporary, ours = prepare(target, path, after, status, locked)
            leased = guard.keep_writers_out(locked, path)
            guard.check(locked, target, path, seen.raw, seen.identity)
            give_name(ours, temporary)
            swap = Swap(temporary, target, ours, after)
            if not swap.make(path, locked, seen.raw, leased):
                raise FileChanged(path)
            return identity_of(os.fstat(ours))
        finally:
            if ours >= 0:
                if temporary:
                    remove_ours(temporary, ours)
                os.close(ours)
            if locked >= 0:
                os.close(locked)
    except OSError as error:
        raise NotWritten(path, error.strerror or str(error), mend_of(error)) from None


def refuse_taken(path: str, new: str) -> None:
    """Raise NotWritten if `new` is the name of another file than the one at `path`."""
    if os.path.lexists(new) and not (os.path.exists(new) and os.path.samefile(path, new)):
        raise NotWritten(path, f"{new} already exists", "rename one of them")


def move(path: str, new: str) -> Identity:
    """Give the file at `path` the name `new` beside it, which nothing may have; return how it looks
    then. A process that is killed in between leaves both names for the same file, and the next one
    ends it. Raises FileChanged, and NotWritten."""
    try:
        if _linked(path, new):
            os.unlink(path)
        else:
            os.rename(path, new)
        sync_folders([new])
        return identity_of(os.stat(new))
    except FileNotFoundError:
        raise FileChanged(path) from None
    except OSError as error:
        raise NotWritten(path, error.strerror or str(error), mend_of(error)) from None


def _linked(path: str, new: str) -> bool:
    """Give a file a second name, unless it has that; False where its file system has no such thing.
    Raises NotWritten if another file has it, and OSError."""
    try:
        os.link(path, new, follow_symlinks=False)
    except FileExistsError:
        refuse_taken(path, new)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        refuse_taken(path, new)
        return False
    return True


def sync_folders(paths: Iterable[str]) -> None:
    """Bring the folder entries of these files to the disk, each folder once. Raises OSError."""
    for folder in {os.path.dirname(_target(path)) or "." for path in paths}:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some file systems know no such call for folders.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(descriptor)


def _target(path: str) -> str:
    """Return the path of the file itself; links in the folders above it may stay."""
    return os.path.realpath(path) if os.path.islink(path) else path
