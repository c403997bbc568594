"""A new file, whole or not at all, and never in the place of one that stands."""

from __future__ import annotations

import os

from hypervisor.system.errors import HypervisorError, mend_of
from hypervisor.tasks.temporary import NotWritten
from hypervisor.tasks.write import sync_folders


def create(path: str, data: bytes) -> None:
    """Write a new file at `path`; missing folders are made. It is on the disk when this returns.

    Raises HypervisorError if anything of that name stands, and NotWritten.
    """
    folder = os.path.dirname(path)
    draft = os.path.join(folder, f".hypervisor-{os.urandom(8).hex()}.tmp")
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
            os.link(draft, path)
        finally:
            os.close(descriptor)
            os.unlink(draft)
        sync_folders([path])
    except OSError as error:
        if os.path.lexists(path):
            raise HypervisorError(f"{path}: already exists", "choose another title") from None
        raise NotWritten(path, error.strerror or str(error), mend_of(error)) from None
