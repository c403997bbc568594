"""The folder `.hypervisor` of a project: ours, or refused; nothing else opens what is in it.

A repository can carry a folder of that name, so being there proves nothing. It counts only if this
user made it on this machine: an id in it is also noted in the user's own state folder, with the
machine, device, inode and path of the folder that it belongs to, it has this user as its owner, and
nobody else may read it. Everything in it is reached by descriptor, links are never followed
(`system.folder`), and what SQLite opens by its path is looked at just before and just after.

`hooks/guard` reads the note too, with the tests that a shell has; it writes nothing but the empty
files in `calls`, each made where none is, in a folder that it has reached without a link.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from hypervisor.system import machine, notes
from hypervisor.system.errors import HypervisorError, is_short, mend_of
from hypervisor.system.folder import Folder
from hypervisor.system.notes import VARIABLE, Note
from hypervisor.system.text import one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

STATE = ".hypervisor"
LEDGER = "ledger.db"
# Everything that SQLite may make beside the ledger.
_DATABASE = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", f"{LEDGER}-journal")
_ID = "id"
# How many noted projects are looked at when one is made: gone ones go faster than they come.
_LOOKED_AT = 16


class Foreign(HypervisorError):
    """The folder is not ours, or not safe to use: nothing in it was read or written."""


class State:
    """The proven folder of state of one project, and what the user's own folder notes of it.

    `id` names it; `secret` is known to this user's own folder only, and None where it could not be
    noted.
    """

    __slots__ = ("folder", "id", "root", "secret")

    def __init__(self, root: str, folder: Folder, id: str, known: Note | None) -> None:
        self.root = root
        self.folder = folder
        self.id = id
        self.secret = known.secret if known else None

    @classmethod
    def find(cls, root: str) -> Self | None:
        """Return the state of `root`; None where there is none yet.

        Raises Foreign for a folder that is not ours, in one line with the mend, and for one of
        which that can't be told just now.
        """
        try:
            return cls._find(root)
        except OSError as error:
            told = f"{one_line(shown(root))}: {error.strerror or error}"
            raise Foreign(told, mend_of(error)) from None

    @classmethod
    def _find(cls, root: str) -> Self | None:
        folder = _opened(root)
        if folder is None:
            return None
        name = _read_id(folder)
        if name is None:
            return cls._first_met(root, folder)
        known = Note.read(name)
        if known is None:
            raise _stranger(folder.path)
        if not known.is_of(folder):
            raise _copy(folder.path)
        _refuse_others(folder)
        known.keep_up(folder)
        return cls(root, folder, name, known)

    @classmethod
    def create(cls, root: str) -> Self:
        """Return the state of `root`, made (mode 0700, ignored by git) and noted if there is none.

        Raises Foreign as `find` does, and where the user's own state folder can't be written.
        """
        # Two rounds: somebody else may make it at the same time, and theirs is as good.
        for _ in range(2):
            found = cls.find(root)
            if found is not None:
                found.refuse_tracked()
                found.folder.write(".gitignore", b"*\n")
                return found
            _make(root)
            notes.prune(time.time(), _LOOKED_AT)
        raise _stranger(shown(root))

    @classmethod
    def adopt(cls, root: str) -> Self | None:
        """Make the folder of state at `root` this user's and this machine's, whoever made it; None
        where there is none.

        Only after a person has seen what it holds. Raises Foreign for one that git tracks, or in
        which links stand.
        """
        folder = _opened(root)
        if folder is None:
            return None
        if os.statvfs(folder.fd).f_flag & os.ST_RDONLY:
            raise Foreign(
                f"{one_line(folder.path)}: on a read-only file system",
                "mount it writable, or copy the project to a place that is",
            )
        if os.fstat(folder.fd).st_uid != os.geteuid() and not _has_no_owners(folder.path):
            raise _owned(folder.path)
        _refuse_tracked(root, folder.path)
        _refuse_links(folder)
        if not _has_no_owners(folder.path) and os.fstat(folder.fd).st_mode & 0o777 != 0o700:
            os.fchmod(folder.fd, 0o700)
        earlier = _read_id(folder)
        known = Note.read(earlier) if earlier else None
        name = notes.new_id()
        # A copy of a project of this very machine may still undo what the original wrote.
        Note.of(folder, known.secret if known else os.urandom(16).hex()).write(name)
        folder.write(_ID, f"{name}\n".encode(), sync=True)
        folder.write(".gitignore", b"*\n")
        if earlier and known and known.is_of(folder):
            notes.forget(earlier)
        return cls(root, folder, name, Note.read(name))

    @classmethod
    def unproven(cls, root: str) -> Folder | None:
        """Return the folder of state at `root` whoever made it, to be looked at only; None where
        there is none. Raises Foreign for a link."""
        return _opened(root)

    @classmethod
    def _first_met(cls, root: str, folder: Folder) -> Self | None:
        """Return the state of the first release, which had no id, noted now; None for an empty
        folder. Raises Foreign for anything else."""
        if not folder.names():
            return None
        _refuse_tracked(root, folder.path)
        _refuse_links(folder)
        from hypervisor.system.unproven import made_here

        if not made_here(folder, machine.machine_id()):
            raise _stranger(folder.path)
        # Last: whose it is, is not mended by its mode.
        _refuse_others(folder)
        name = notes.new_id()
        known = Note.of(folder, os.urandom(16).hex())
        try:
            known.write(name, unsealed=_undo_sizes(folder))
            # As a second name, which fails where another process has been faster.
            draft = f".{_ID}.{os.getpid()}"
            folder.write(draft, f"{name}\n".encode(), sync=True)
            try:
                os.link(
                    draft, _ID, src_dir_fd=folder.fd, dst_dir_fd=folder.fd, follow_symlinks=False
                )
            finally:
                folder.remove(draft)
        except FileExistsError:
            notes.forget(name)
            return cls.find(root)
        except OSError:
            # It can't be noted: it is as good as noted for this call, and looked at again.
            return cls(root, folder, "", None)
        return cls(root, folder, name, known)

    def refuse_tracked(self) -> None:
        """Raise Foreign if git tracks anything in the folder: others would get it, or it came from
        them. Starts git."""
        _refuse_tracked(self.root, self.folder.path)

    def ends(self) -> int:
        """Return how many accepted ends the user's own folder knows of; 0 if none was noted."""
        return notes.ends(self.id)

    def note_ends(self, count: int) -> None:
        """Raise the note of accepted ends to `count`; one that can't be written stops nothing.

        Call it when the ends are on the disk, under the ledger's lock.
        """
        notes.note_ends(self.id, count)

    def can_note(self) -> bool:
        """True if the user's own folder can be written for this project."""
        return notes.can_write(self.id)

    def unsealed(self) -> dict[str, int]:
        """Return the bytes of each pack of the undo log that was there when this state was first
        noted, by `<queue's folder>/<pack>`."""
        return notes.unsealed(self.id)

    def refuse_gone(self) -> None:
        """Raise Foreign unless the folder stands where it was opened."""
        path = self.folder.path
        try:
            there = os.stat(path, follow_symlinks=False)
        except OSError:
            raise Foreign(
                f"{path}: removed or moved while it was in use", "run it again where it is now"
            ) from None
        if not os.path.samestat(os.fstat(self.folder.fd), there):
            raise Foreign(f"{path}: replaced while it was in use", "run it again")

    def database(self) -> dict[str, int]:
        """Return the inode of each file of the ledger that is there, by its name.

        Call it just before SQLite opens the ledger by its path and just after, and compare. Raises
        Foreign unless each is a plain file of this user's with one name, in this very folder.
        """
        self.refuse_gone()
        seen = {}
        for name in _DATABASE:
            status = self.folder.look(name)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise _odd(f"{self.folder.path}/{name}")
            if status.st_uid != os.geteuid() and not _has_no_owners(self.folder.path):
                raise _owned(f"{self.folder.path}/{name}")
            seen[name] = status.st_ino
        return seen


def stands_in(folder: str) -> bool:
    """True if a folder of state stands in `folder`, whoever made it."""
    return os.path.isdir(shown(folder))


def is_within(folder: str) -> bool:
    """True for what is below a folder of state, as the working tree of a claim is."""
    return f"/{STATE}/" in folder


def shown(root: str, *names: str) -> str:
    """Return the path of the state of `root`, or of `names` in it: for messages and for git, never
    to be opened."""
    return "/".join((root.rstrip("/"), STATE, *names))


def _opened(root: str) -> Folder | None:
    path = shown(root)
    try:
        return Folder.at(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Foreign(
                f"{one_line(path)}: a link or a file, where the folder of state should be",
                "move it away",
            ) from None
        if is_short(error):
            raise
        raise Foreign(
            f"{one_line(path)}: {error.strerror}", "make the folder readable for you"
        ) from None


def _make(root: str) -> None:
    """Make the folder of state beside its place, note it, and give it its name in one step."""
    aside = f"{STATE}-{os.urandom(6).hex()}"
    path = f"{root.rstrip('/')}/{aside}"
    os.mkdir(path, 0o700)
    folder = Folder.at(path)
    name = notes.new_id()
    known = Note.of(folder, os.urandom(16).hex())
    known.path = shown(root)
    try:
        folder.write(".gitignore", b"*\n")
        for inner in ("locks", "live"):
            folder.below(inner, make=True)
        folder.write(_ID, f"{name}\n".encode(), sync=True)
        try:
            known.write(name)
        except OSError as error:
            raise Foreign(
                f"{one_line(notes.home())}: {error.strerror}: what is made here can't be noted as "
                "yours",
                f"make the folder writable for you, or set {VARIABLE} to one that is",
            ) from None
        # Only an empty folder gives way; where another process was faster, theirs stays.
        os.rename(path, shown(root))
    except BaseException as error:
        for inner in ("locks", "live"):
            folder.remove_folder(inner)
        for file in (".gitignore", _ID):
            folder.remove(file)
        notes.forget(name)
        os.rmdir(path)
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return
        raise


def _refuse_others(folder: Folder) -> None:
    """Raise Foreign for a folder of another user's, or one that others may read or write."""
    status = os.fstat(folder.fd)
    mine = status.st_uid == os.geteuid()
    if (mine and not status.st_mode & 0o077) or _has_no_owners(folder.path):
        return
    if not mine:
        raise _owned(folder.path)
    raise Foreign(
        f"{one_line(folder.path)}: others may read or write it",
        f"chmod 700 {shell(folder.path)}",
    )


def _refuse_tracked(root: str, path: str) -> None:
    from hypervisor.system.git import tracks

    if tracks(root, STATE):
        raise Foreign(
            f"{one_line(path)}: git tracks files in it, so they may be a stranger's; yours are "
            "taken over by hypervisor adopt, once it doesn't",
            f"git rm -r -q --cached {STATE}",
        )


def _refuse_links(folder: Folder) -> None:
    """Raise Foreign where a link stands among what we open. `locks` holds links by design, and
    `worktrees` is the repository's content."""
    for name in folder.names():
        status = folder.look(name)
        if status is None:
            continue
        if stat.S_ISLNK(status.st_mode):
            raise _odd(f"{folder.path}/{name}")
        if stat.S_ISDIR(status.st_mode) and name not in ("locks", "worktrees"):
            inner = folder.below(name)
            for one in inner.names():
                seen = inner.look(one)
                if seen is not None and stat.S_ISLNK(seen.st_mode):
                    raise _odd(f"{inner.path}/{one}")


def _read_id(folder: Folder) -> str | None:
    try:
        name = folder.read(_ID, 64).decode("utf-8", "replace").removesuffix("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        if is_short(error):
            raise
        raise _odd(f"{folder.path}/{_ID}") from None
    return name if notes.is_id(name) else ""


def _undo_sizes(folder: Folder) -> dict[str, int]:
    from hypervisor.system.folder import walk

    return {"/".join((*above[1:], name)): s.st_size for above, name, s in walk(folder, "undo")}


def _has_no_owners(path: str) -> bool:
    """True on file systems that know neither owners nor modes. Asked only where these look off."""
    from hypervisor.system import mounts

    return mounts.has_no_owners(path)


def _stranger(path: str) -> Foreign:
    told = os.environ.get(VARIABLE)
    if told and not os.path.isdir(told):
        # It may well be the user's own: not to be moved away.
        return Foreign(
            f"{one_line(path)}: not made by you on this machine, as far as is known: "
            f"{VARIABLE}={one_line(told, 200)}, where that would be noted, is no folder",
            f"unset {VARIABLE}",
        )
    return Foreign(
        f"{one_line(path)}: not made by you on this machine, so nothing in it is used (hypervisor "
        "adopt shows what it holds, and takes it over)",
        f"mv {shell(path)} {shell(path + '.stranger')}",
    )


def _copy(path: str) -> Foreign:
    return Foreign(
        f"{one_line(path)}: a copy of another project's (synced, restored or copied): two copies "
        "would hand out the same items",
        "if this copy is the only one in use: hypervisor adopt",
    )


def _owned(path: str) -> Foreign:
    return Foreign(f"{one_line(path)}: belongs to another user", "run the command as its owner")


def _odd(path: str) -> Foreign:
    # A link that is moved stays one, beside what else we would not follow.
    away = f"rm {shell(path)}"
    if not os.path.islink(path):
        away = f"mv {shell(path)} {shell(path + '.stranger')}"
    return Foreign(
        f"{one_line(path)}: a link, or no plain file of ours, which we don't follow", away
    )
