"""Files that others wrote, read within bounds: never a pipe or a device, never without end.

A name says nothing of what stands behind it: a link in a project may lead to a device, and a file
may grow for as long as somebody reads it.
"""

from __future__ import annotations

import os
import stat

from hypervisor.system.text import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

KIB, MIB = 1 << 10, 1 << 20
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_CHUNK = 1 << 20
# A writer that is killed leaves one; each costs as much as a hundred lines that are passed over.
MOST_BROKEN = 1000
_PATIENCE = 10.0


class NotReadable(Exception):
    """What stands there is not read; `what` says why, `fix` what its owner can do about it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def open_file(path: str) -> tuple[int, os.stat_result]:
    """Open the regular file at `path` for reading; return its descriptor and its status.

    It never waits: a pipe or a device is not even opened. Raises OSError and NotReadable.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _not_regular()
    descriptor = os.open(path, _FLAGS)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _not_regular()
    return descriptor, status


def read_file(path: str, most: int) -> tuple[bytes, os.stat_result]:
    """Return the bytes of the regular file at `path`, and its status before they were read.

    Raises OSError, and NotReadable where it is no file or holds more than `most` bytes.
    """
    descriptor, status = open_file(path)
    try:
        # Looked at before reading: a change while we read makes the status older than the bytes,
        # so that a later look sees it.
        if status.st_size > most:
            raise _too_large(most)
        return read_descriptor(descriptor, status.st_size, most), status
    finally:
        os.close(descriptor)


def read_start(path: str, most: int) -> bytes:
    """Return up to `most` bytes from the start of the regular file at `path`.

    Raises OSError and NotReadable.
    """
    return _part(path, most, from_end=False)


def read_end(path: str, most: int) -> bytes:
    """Return up to `most` bytes from the end of the regular file at `path`.

    Raises OSError and NotReadable.
    """
    return _part(path, most, from_end=True)


def _part(path: str, most: int, *, from_end: bool) -> bytes:
    descriptor, status = open_file(path)
    try:
        if from_end:
            os.lseek(descriptor, max(0, status.st_size - most), os.SEEK_SET)
        return os.read(descriptor, most)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, size: int, most: int) -> bytes:
    """Return what is left to read from a descriptor; `size` is a guess at how much that is.

    Raises OSError, and NotReadable where it is more than `most` bytes.
    """
    raw = os.read(descriptor, min(size, most) + 1)
    if len(raw) == size:
        return raw
    chunks, length = [raw], len(raw)
    while length <= most and (chunk := os.read(descriptor, min(_CHUNK, most + 1 - length))):
        chunks.append(chunk)
        length += len(chunk)
    if length > most:
        raise _too_large(most)
    return b"".join(chunks)


def read_pipe(path: str, most: int, patience: float = _PATIENCE) -> bytes:
    """Return what is written into the named pipe at `path`, up to its end.

    A writer is waited for, for `patience` seconds. Raises OSError, and NotReadable where there is
    no pipe or writer, or more than `most` bytes.
    """
    import select

    if not stat.S_ISFIFO(os.stat(path).st_mode):
        raise NotReadable("no file, folder or pipe", "name one of these")
    descriptor = os.open(path, _FLAGS)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(patience * 1000):
            raise NotReadable("a pipe that nobody writes to", "name a file")
        os.set_blocking(descriptor, True)
        return read_descriptor(descriptor, 0, most)
    finally:
        os.close(descriptor)


def json_value(text: str) -> Any:
    """Return what JSON of others stands for. No text in it holds half of a character or a NUL: no
    ledger and no path takes what JSON can spell there. Raises ValueError and RecursionError."""
    from hypervisor.system.quick_json import loads

    value = loads(whole(text))
    spelt = any(escape in text for escape in ("\\ud", "\\uD", "\\u0000"))
    return _mended(value) if spelt else value


def json_rows(lines: Iterable[str]) -> Iterator[object]:
    """Yield what each line stands for; one that is no JSON is passed over.

    After MOST_BROKEN of these it is no file of rows: a last None is yielded, and the rest left.
    """
    broken = 0
    for line in lines:
        try:
            row = json_value(line)
        except (ValueError, RecursionError):
            broken += 1
            if broken > MOST_BROKEN:
                yield None
                return
            continue
        yield row


def at(value: object, *keys: str) -> object:
    """Return what stands below `keys` in what JSON of others stands for, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def objects(value: object) -> list[dict[str, object]]:
    """Return the objects in a list of JSON; none of what is not a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _mended(value: object) -> object:
    if isinstance(value, str):
        return whole(value).replace("\0", "�")
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return value


def _not_regular() -> NotReadable:
    return NotReadable("not a regular file", "put a file there, or leave it out")


def _too_large(most: int) -> NotReadable:
    shown = f"{most // MIB} MiB" if most >= MIB else f"{most // KIB} KiB"
    return NotReadable(f"larger than {shown}", "make it smaller, or leave it out")
