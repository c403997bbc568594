"""The errors a person reads: what, where, and the command that mends it."""

from __future__ import annotations

from hypervisor.system.text import escaped, indented, one_line


class HypervisorError(Exception):
    """Something that stops this command; `fix` is what the reader can do about it.

    Both are made one line here, since they quote names of files, keys, and words of other programs.
    `output` is the end of what a program printed, shown below them.
    """

    exit_code = 1

    def __init__(self, message: str, fix: str = "", output: str = "") -> None:
        super().__init__(message)
        self.message = escaped(message)
        self.fix = escaped(fix)
        self.output = output

    def __str__(self) -> str:
        return self._with_output(f"{self.message}; {self.fix}" if self.fix else self.message)

    @property
    def cause(self) -> str:
        """All but what the reader can do about it: for a report that others read."""
        return self._with_output(self.message)

    def _with_output(self, text: str) -> str:
        return f"{text}. The end of its output:\n{indented(self.output)}" if self.output else text


class UsageError(HypervisorError):
    """The command's words are off."""

    exit_code = 2


class NotAllowed(HypervisorError):
    """Whoever calls may not do this: it is for somebody else to decide."""

    exit_code = 2


class NothingLeft(HypervisorError):
    """The queue has drained: there is nothing to hand out and nothing will come."""

    exit_code = 3


class SetupError(HypervisorError):
    """This machine or repository lacks what every item needs (an identity, a filter): no item is at
    fault, and none is charged for it."""


class NotOwner(HypervisorError):
    """The token names no live claim any more: nothing was written."""

    exit_code = 4


class NobodyWorks(HypervisorError):
    """Items are left, and nobody works on them."""

    exit_code = 5


class BrokenFile(HypervisorError):
    """A file that can't be read as a task; it is reported and never written."""

    def __init__(self, path: str, line: int | None, what: str, fix: str = "") -> None:
        where = path if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {what}", fix)
        self.path = path
        self.line = line
        self.what = what


class FileChanged(HypervisorError):
    """Somebody edited the file after it was read; read it again."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: changed since it was read", "run the command again")
        self.path = path


class NoSuchItem(BrokenFile):
    """An item that is no longer in its file, or is there more than once."""


class OtherItem(HypervisorError):
    """Another task, or none that goes by its id, stands where an item's file was."""

    def __init__(self, path: str, item_id: str, found: str | None) -> None:
        other = "a task without an id" if found is None else one_line(found, 80)
        known = one_line(item_id, 80)
        super().__init__(
            f"{one_line(path)}: {other} is there, not {known}",
            f"give it the id {known} again, or put that task back",
        )


def mend_of(error: OSError, otherwise: str = "run the command again") -> str:
    """Return what the reader can do about an error of the system, else `otherwise`."""
    import errno

    more = "raise the limit of {} (ulimit -{}), or start fewer workers"
    return {
        errno.EMFILE: more.format("open files", "n"),
        errno.ENFILE: "end programs that hold many files open",
        errno.EAGAIN: more.format("processes", "u"),
        errno.ENOMEM: "free some memory",
        errno.ENOSPC: "free some space on the disk",
        errno.EDQUOT: "free some of your quota",
        errno.EACCES: "make the folder and its files writable for you",
        errno.EPERM: "make the folder and its files writable for you",
        errno.EROFS: "mount the file system for writing",
        errno.ENAMETOOLONG: "the path is too long: shorten a name, or move it up",
    }.get(error.errno or 0, otherwise)


def is_short(error: OSError) -> bool:
    """True where the machine lacks something for the moment: that tells nothing of the file."""
    import errno

    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
