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

from hypervisor.system import machine
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.folder import Folder, NotPlain
from hypervisor.system.text import one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

STATE = ".hypervisor"
VARIABLE = "HYPERVISOR_STATE"
LEDGER = "ledger.db"
# Everything that SQLite may make beside the ledger.
_DATABASE = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", f"{LEDGER}-journal")
_ID = "id"
_HEX = frozenset("0123456789abcdef")
_ID_LENGTH = 32
# What is known of a project in the user's own state folder, in a folder named by its id.
_NOTES = "projects"
_NOTE = "note"
_ENDS = "ends"
# A link to the project's state: `test -ef` of a shell tells a copy by it.
_PLACE = "place"
# What stood in the undo log before entries were sealed: `{pack: bytes}` as lines.
_UNSEALED = "unsealed"
# A project that was not used for so long, and is not where it was, is gone.
_GONE_SECONDS = 30 * 86400


class Foreign(HypervisorError):
    """The folder is not ours, or not safe to use: nothing in it was read or written."""


class State:
    """The proven folder of state of one project, and what the user's own folder notes of it.

    `id` names it; `secret` is known to this user's own folder only, and None where it could not be
    noted.
    """

    __slots__ = ("_known", "folder", "id", "root", "secret")

    def __init__(self, root: str, folder: Folder, id: str, known: _Known | None) -> None:
        self.root = root
        self.folder = folder
        self.id = id
        self._known = known
        self.secret = known.secret if known else None

    @classmethod
    def find(cls, root: str) -> Self | None:
        """Return the state of `root`; None where there is none yet.

        Raises Foreign for a folder that is not ours, in one line with the mend.
        """
        folder = _opened(root)
        if folder is None:
            return None
        name = _read_id(folder)
        if name is None:
            return cls._first_met(root, folder)
        known = _Known.read(name)
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
            prune_notes(time.time())
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
        known = _Known.read(earlier) if earlier else None
        name = _new_id()
        # A copy of a project of this very machine may still undo what the original wrote.
        _Known.of(folder, known.secret if known else os.urandom(16).hex()).write(name)
        folder.write(_ID, f"{name}\n".encode(), sync=True)
        folder.write(".gitignore", b"*\n")
        if earlier and known and known.is_of(folder):
            _forget(earlier)
        return cls(root, folder, name, _Known.read(name))

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
        name = _new_id()
        known = _Known.of(folder, os.urandom(16).hex())
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
            _forget(name)
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
        folder = _notes(self.id)
        if folder is None:
            return 0
        try:
            text = folder.read(_ENDS, 40).strip(b" \n")
        except OSError:
            return 0
        return int(text) if text.isdigit() else 0

    def note_ends(self, count: int) -> None:
        """Raise the note of accepted ends to `count`; one that can't be written stops nothing.

        Call it when the ends are on the disk, under the ledger's lock.
        """
        self._write_ends(count)

    def _write_ends(self, count: int) -> bool:
        folder = _notes(self.id)
        if folder is None:
            return False
        try:
            fd = folder.open(_ENDS, os.O_WRONLY | os.O_CREAT)
            try:
                os.pwrite(fd, b"%-20d\n" % count, 0)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def can_note(self) -> bool:
        """True if the user's own folder can be written for this project."""
        folder = _notes(self.id)
        return folder is not None and os.access(folder.path, os.W_OK)

    def unsealed(self) -> dict[str, int]:
        """Return the bytes of each pack of the undo log that was there when this state was first
        noted, by `<queue's folder>/<pack>`."""
        folder = _notes(self.id)
        if folder is None:
            return {}
        try:
            lines = folder.read(_UNSEALED).decode("utf-8", "surrogateescape").split("\n")
        except OSError:
            return {}
        pairs = [line.rpartition(" ") for line in lines if line]
        return {name: int(size) for name, _, size in pairs if size.isdigit()}

    def database(self) -> dict[str, int]:
        """Return the inode of each file of the ledger that is there, by its name.

        Call it just before SQLite opens the ledger by its path and just after, and compare. Raises
        Foreign unless each is a plain file of this user's with one name, in this very folder.
        """
        here, there = os.fstat(self.folder.fd), os.stat(self.folder.path, follow_symlinks=False)
        if not os.path.samestat(here, there):
            raise Foreign(f"{self.folder.path}: replaced while it was in use", "run it again")
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


class _Known:
    """What the user's own folder notes of a project."""

    __slots__ = ("boot", "device", "id", "inode", "machine", "path", "secret")

    def __init__(self, told: dict[str, str]) -> None:
        self.id = ""
        self.machine = told["machine"]
        self.boot = told["boot"]
        self.device = int(told["device"])
        self.inode = int(told["inode"])
        self.secret = told["secret"]
        self.path = told["path"]

    @classmethod
    def of(cls, folder: Folder, secret: str) -> Self:
        status = os.fstat(folder.fd)
        return cls(
            {
                "machine": machine.machine_id(),
                "boot": machine.boot_id(),
                "device": str(status.st_dev),
                "inode": str(status.st_ino),
                "secret": secret,
                "path": folder.path,
            }
        )

    @classmethod
    def read(cls, name: str) -> Self | None:
        folder = _notes(name)
        if folder is None:
            return None
        try:
            text = folder.read(_NOTE, 1 << 16).decode("utf-8", "surrogateescape")
            # The path comes last: it may hold line breaks.
            head, _, path = text.partition("path ")
            told = dict(line.split(" ", 1) for line in head.split("\n") if line)
            known = cls(told | {"path": path.removesuffix("\n")})
        except (OSError, ValueError, KeyError):
            return None
        known.id = name
        return known

    def write(self, name: str, unsealed: dict[str, int] | None = None) -> None:
        """Note it under the id `name`. Raises OSError."""
        self.id = name
        top = home()
        folder = Folder.at(top, make=True).below(_NOTES, name, make=True)
        folder.write(_NOTE, self._text(), sync=True)
        if unsealed:
            lines = "".join(f"{pack} {size}\n" for pack, size in unsealed.items())
            folder.write(_UNSEALED, lines.encode("utf-8", "surrogateescape"))
        self._write_place(folder)

    def _text(self) -> bytes:
        return (
            f"machine {self.machine}\nboot {self.boot}\ndevice {self.device}\n"
            f"inode {self.inode}\nsecret {self.secret}\npath {self.path}\n"
        ).encode("utf-8", "surrogateescape")

    def _write_place(self, folder: Folder) -> None:
        folder.remove(_PLACE)
        os.symlink(self.path, _PLACE, dir_fd=folder.fd)

    def is_of(self, folder: Folder) -> bool:
        """True if `folder` is the one that was noted, moved or not.

        Some devices get another number at each start of the machine: the path tells then. A
        container has another name than its machine, and the boot of it.
        """
        status = os.fstat(folder.fd)
        if status.st_ino != self.inode:
            return False
        if status.st_dev != self.device and folder.path != self.path:
            return False
        return self.machine == machine.machine_id() or self.boot == machine.boot_id()

    def keep_up(self, folder: Folder) -> None:
        """Note that the project has moved; what can't be written is looked at again."""
        device = os.fstat(folder.fd).st_dev
        if folder.path == self.path and device == self.device:
            return
        if self.machine != machine.machine_id():
            # A container sees the folder at a path of its own.
            return
        self.path, self.device = folder.path, device
        try:
            notes = _notes(self.id)
            if notes is not None:
                notes.write(_NOTE, self._text())
                self._write_place(notes)
        except OSError:
            pass


def home() -> str:
    """Return the user's own folder of state, in which projects are noted; it need not exist.

    $HYPERVISOR_STATE, else $XDG_STATE_HOME/hypervisor, else ~/.local/state/hypervisor. Raises
    UsageError for a HYPERVISOR_STATE that is no absolute path.
    """
    told = os.environ.get(VARIABLE)
    if told:
        if not told.startswith("/"):
            raise UsageError(
                f"{VARIABLE}={one_line(told, 200)} is not an absolute path", f"unset {VARIABLE}"
            )
        return told
    xdg = os.environ.get("XDG_STATE_HOME", "")
    if xdg.startswith("/"):
        return f"{xdg}/hypervisor"
    return os.path.expanduser("~/.local/state/hypervisor")


def shown(root: str, *names: str) -> str:
    """Return the path of the state of `root`, or of `names` in it: for messages and for git, never
    to be opened."""
    return "/".join((root.rstrip("/"), STATE, *names))


def prune_notes(now: float) -> int:
    """Forget projects that are gone: not where they were, and not used for a month. `now` is Unix
    time. Returns how many."""
    try:
        notes = Folder.at(home()).below(_NOTES)
    except OSError:
        return 0
    gone = 0
    for name in notes.names():
        known = _Known.read(name) if _is_id(name) else None
        if known is None or os.path.lexists(known.path):
            continue
        folder = _notes(name)
        looks = [folder.look(file) for file in (_NOTE, _ENDS)] if folder else []
        if max((one.st_mtime for one in looks if one), default=now) < now - _GONE_SECONDS:
            _forget(name)
            gone += 1
    return gone


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
        raise Foreign(
            f"{one_line(path)}: {error.strerror}", "make the folder readable for you"
        ) from None


def _make(root: str) -> None:
    """Make the folder of state beside its place, note it, and give it its name in one step."""
    aside = f"{STATE}-{os.urandom(6).hex()}"
    path = f"{root.rstrip('/')}/{aside}"
    os.mkdir(path, 0o700)
    folder = Folder.at(path)
    name = _new_id()
    known = _Known.of(folder, os.urandom(16).hex())
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
                f"{one_line(home())}: {error.strerror}: what is made here can't be noted as yours",
                f"make the folder writable for you, or set {VARIABLE} to one that is",
            ) from None
        # Only an empty folder gives way; where another process was faster, theirs stays.
        os.rename(path, shown(root))
    except BaseException as error:
        for inner in ("locks", "live"):
            folder.remove_folder(inner)
        for file in (".gitignore", _ID):
            folder.remove(file)
        _forget(name)
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
        name = folder.read(_ID, 64).decode("ascii", "replace").removesuffix("\n")
    except FileNotFoundError:
        return None
    except (NotPlain, OSError):
        raise _odd(f"{folder.path}/{_ID}") from None
    return name if _is_id(name) else ""


def _is_id(name: str) -> bool:
    return len(name) == _ID_LENGTH and _HEX.issuperset(name)


def _new_id() -> str:
    return os.urandom(_ID_LENGTH // 2).hex()


def _notes(name: str) -> Folder | None:
    """Return the folder of notes on the project `name`, if this user's own."""
    if not _is_id(name):
        return None
    try:
        folder = Folder.at(home()).below(_NOTES, name)
    except OSError:
        return None
    return folder if os.fstat(folder.fd).st_uid in (os.geteuid(), 0) else None


def _forget(name: str) -> None:
    """Remove what is noted of a project: these files and no others."""
    folder = _notes(name)
    if folder is None:
        return
    for file in (_NOTE, _ENDS, _PLACE, _UNSEALED):
        try:
            folder.remove(file)
        except OSError:
            return
    try:
        os.rmdir(folder.path)
    except OSError:
        pass


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
        "where this copy is the only one in use: hypervisor adopt",
    )


def _owned(path: str) -> Foreign:
    return Foreign(f"{one_line(path)}: belongs to another user", "run the command as its owner")


def _odd(path: str) -> Foreign:
    return Foreign(
        f"{one_line(path)}: a link, or no plain file of ours, which we don't follow",
        f"mv {shell(path)} {shell(path + '.stranger')}",
    )
