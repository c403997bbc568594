"""Transcripts of workers, whichever client wrote them; unknown is None, never 0."""

from __future__ import annotations

import errno
import os
from itertools import chain

from hypervisor.agents import clients
from hypervisor.system.reading import MIB, NotReadable, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypervisor.agents.usage import Usage

# Rows hold what a worker read, pictures too.
_LARGEST, _LONGEST_ROW = 256 * MIB, 32 * MIB


def writer_of(path: str) -> clients.Client:
    """Return the client whose worker wrote the transcript `path`, by its first line; the host where
    there is none yet."""
    try:
        return clients.writer(next(rows_of(path), ""))
    except OSError:
        return clients.host()


def read(path: str) -> tuple[Usage, list[str]]:
    """Return what the worker that wrote this transcript has used, and all of its transcripts.

    Raises OSError.
    """
    client = writer_of(path)
    files = client.files(path)
    return client.sum_up(chain.from_iterable(map(rows_of, files))), files


def size_of(path: str) -> int:
    """Return how many bytes all transcripts of a worker have. Raises OSError."""
    return sum(os.stat(each).st_size for each in writer_of(path).files(path))


def rows_of(path: str) -> Iterator[str]:
    """Yield the lines of a transcript; what is longer than any row of it is passed over. Raises
    OSError."""
    try:
        descriptor, status = open_file(path)
    except NotReadable as error:
        raise OSError(errno.EINVAL, error.what, path) from None
    with open(descriptor, encoding="utf-8", errors="replace") as source:
        if status.st_size > _LARGEST:
            raise OSError(errno.EFBIG, "larger than 256 MiB", path)
        whole = True
        while line := source.readline(_LONGEST_ROW):
            ends = line.endswith("\n")
            if whole and (ends or len(line) < _LONGEST_ROW):
                yield line
            whole = ends
