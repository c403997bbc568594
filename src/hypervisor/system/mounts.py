"""Where a ledger may live: the machine that made it, on a file system that SQLite can trust."""

from __future__ import annotations

import os

NETWORK = frozenset(
    """
    nfs nfs4 cifs smb smb3 smbfs afpfs webdav 9p afs ceph lustre gpfs glusterfs beegfs ncpfs
    fuse.sshfs fuse.glusterfs fuse.ceph fuse.rclone fuse.davfs fuse.s3fs
    """.split()  # noqa: SIM905
)

# How the kernel writes what would end a word or a line in a path.
_OCTAL = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def network_file_system(path: str, mounts: str | None = None) -> str | None:
    """Return the type of the network file system that holds `path`, or None.

    `mounts` is text in the form of /proc/self/mountinfo; without it the kernel is asked, and a
    system that doesn't tell counts as local.
    """
    if mounts is None:
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as source:
                mounts = source.read()
        except OSError:
            return None
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        words = before.split(" ")
        if not dash or len(words) < 5:
            continue
        point = words[4]
        for code, char in _OCTAL:
            point = point.replace(code, char)
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind if kind in NETWORK else None
