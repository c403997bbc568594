"""A new file, whole or not at all, and never in the place of one that stands."""

from __future__ import annotations

import os

from hypervisor.system.errors import HypervisorError, mend_of
from hypervisor.system.folder import write_all
from hypervisor.tasks.temporary import NotWritten, give_name, make, remove
from hypervisor.tasks.write import sync_folders


def create(path: str, data: bytes) -> None:
    """Write a new file at `path`; missing folders are made. It is on the disk when this returns.

    Raises HypervisorError if anything of that name stands, and NotWritten.
    """
    folder = os.path.dirname(path)
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder)
        draft, descriptor = make(folder, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
            give_name(descriptor, draft)
            os.link(draft, path)
        finally:
            os.close(descriptor)
            remove(draft)
        sync_folders([path])
    except OSError as error:
        if os.path.lexists(path):
            raise HypervisorError(f"{path}: already exists", "choose another title") from None
        raise NotWritten(path, error.strerror or str(error), mend_of(error)) from None
