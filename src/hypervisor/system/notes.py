"""What the user's own folder of state notes of projects: which folders of state are this user's.

Each project has a folder there, named by the id that its own folder of state holds.
"""

from __future__ import annotations

import os

from hypervisor.system import machine
from hypervisor.system.errors import UsageError, is_short
from hypervisor.system.folder import Folder
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

VARIABLE = "HYPERVISOR_STATE"
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
_MOST_UNSEALED = 1 << 24
_ALL_NOTES = (_NOTE, _ENDS, _PLACE, _UNSEALED)
# A project that was not used for so long, and is not where it was, is gone.
_GONE_SECONDS = 30 * 86400


class Note:
    """What is noted of a project: of whose machine, and which folder of state it is."""

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
        """Return what is noted under the id `name`, None for nothing. Raises OSError where that
        can't be told just now."""
        folder = _notes(name)
        if folder is None:
            return None
        try:
            text = folder.read(_NOTE, 1 << 16).decode("utf-8", "surrogateescape")
            # The path comes last: it may hold line breaks.
            head, _, path = text.partition("path ")
            told = dict(line.split(" ", 1) for line in head.split("\n") if line)
            known = cls(told | {"path": path.removesuffix("\n")})
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and is_short(error):
                raise
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


def is_note(path: str) -> bool:
    """Return whether the file `path` is one that is noted of a project in the user's own state,
    which changes all the time; true of these names in their place alone."""
    folder, name = os.path.split(path)
    if name not in _ALL_NOTES or not is_id(os.path.basename(folder)):
        return False
    return os.path.realpath(os.path.dirname(folder)) == os.path.realpath(f"{home()}/{_NOTES}")


def prune(now: float, most: int | None = None) -> int:
    """Forget projects that are gone: not where they were, and not used for a month. `now` is Unix
    time. Looks at no more than `most`, whichever these are. Returns how many are forgotten."""
    try:
        notes = Folder.at(home()).below(_NOTES)
    except OSError:
        return 0
    names = notes.names()
    if most is not None and len(names) > most:
        start = int.from_bytes(os.urandom(4)) % len(names)
        names = (names[start:] + names[:start])[:most]
    gone = 0
    for name in names:
        known = Note.read(name) if is_id(name) else None
        if known is None or os.path.lexists(known.path):
            continue
        folder = _notes(name)
        looks = [folder.look(file) for file in (_NOTE, _ENDS)] if folder else []
        if max((one.st_mtime for one in looks if one), default=now) < now - _GONE_SECONDS:
            forget(name)
            gone += 1
    return gone


def is_id(name: str) -> bool:
    """True for what may be the id of a project."""
    return len(name) == _ID_LENGTH and _HEX.issuperset(name)


def new_id() -> str:
    """Return an id that nothing has had yet."""
    return os.urandom(_ID_LENGTH // 2).hex()


def forget(name: str) -> None:
    """Remove what is noted of a project: these files and no others."""
    folder = _notes(name)
    if folder is None:
        return
    for file in _ALL_NOTES:
        try:
            folder.remove(file)
        except OSError:
            return
    try:
        os.rmdir(folder.path)
    except OSError:
        pass


def ends(name: str) -> int:
    """Return how many accepted ends are noted of a project; 0 if none was noted."""
    folder = _notes(name)
    if folder is None:
        return 0
    try:
        text = folder.read(_ENDS, 40).strip(b" \n")
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def note_ends(name: str, count: int) -> None:
    """Raise the note of accepted ends to `count`; one that can't be written stops nothing."""
    folder = _notes(name)
    if folder is None:
        return
    try:
        fd = folder.open(_ENDS, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(fd, b"%-20d\n" % count, 0)
        finally:
            os.close(fd)
    except OSError:
        return


def can_write(name: str) -> bool:
    """True if what is noted of a project can be written."""
    folder = _notes(name)
    return folder is not None and os.access(folder.path, os.W_OK)


def unsealed(name: str) -> dict[str, int]:
    """Return the bytes of each pack of the undo log that was there when a project was first noted,
    by `<queue's folder>/<pack>`."""
    folder = _notes(name)
    if folder is None:
        return {}
    try:
        text = folder.read(_UNSEALED, _MOST_UNSEALED).decode("utf-8", "surrogateescape")
    except OSError:
        return {}
    pairs = [line.rpartition(" ") for line in text.split("\n") if line]
    return {pack: int(size) for pack, _, size in pairs if _is_size(size)}


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _notes(name: str) -> Folder | None:
    """Return the folder of notes on the project `name`, if this user's own. Raises OSError where
    that can't be told just now."""
    if not is_id(name):
        return None
    try:
        folder = Folder.at(home()).below(_NOTES, name)
    except OSError as error:
        if is_short(error):
            raise
        return None
    return folder if os.fstat(folder.fd).st_uid in (os.geteuid(), 0) else None
