"""Whether our hooks may allow anything in place of the client's own dialogs: the user says so."""

from __future__ import annotations

from hypervisor.config.roots import user_file

KEY = "by_hooks"


def allowed(root: str) -> bool:
    """Return `permissions.by_hooks` of the user's own configuration for the project at `root`.

    True where it says nothing; False where it can't be read. A project's file has no say.
    """
    from hypervisor.config.toml import read_raw
    from hypervisor.system.errors import HypervisorError

    try:
        # Most users never write it, and no call of theirs pays for reading TOML.
        if KEY.encode() not in read_raw(user_file()):
            return True
        from hypervisor.config.settings import load

        return load(root).by_hooks
    except (HypervisorError, OSError):
        return False
