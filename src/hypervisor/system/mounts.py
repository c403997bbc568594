"""What kind of file system a path is on: a ledger needs one that SQLite can trust."""

from __future__ import annotations

import os

NETWORK = frozenset(
    """
    nfs nfs4 cifs smb smb3 smbfs afpfs webdav 9p afs ceph lustre gpfs glusterfs beegfs ncpfs
    fuse.sshfs fuse.glusterfs fuse.ceph fuse.rclone fuse.davfs fuse.s3fs
    """.split()  # noqa: SIM905
)

# Those keep no owner and no mode of a file, or make them up.
_WITHOUT_OWNERS = frozenset("vfat msdos exfat ntfs ntfs3 fuseblk drvfs 9p".split())  # noqa: SIM905

# How the kernel writes what would end a word or a line in a path.
_OCTAL = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def network_file_system(path: str, mounts: str | None = None) -> str | None:
    """Return the type of the network file system that holds `path`, or None.

    `mounts` is text in the form of /proc/self/mountinfo; without it the kernel is asked, and a
    system that doesn't tell counts as local.
    """
    kind = file_system(path, mounts)
    return kind if kind in NETWORK else None


def has_no_owners(path: str, mounts: str | None = None) -> bool:
    """True if the file system that holds `path` knows no owners and modes; `mounts` as above."""
    return file_system(path, mounts) in _WITHOUT_OWNERS


def file_system(path: str, mounts: str | None = None) -> str | None:
    """Return the type of the file system that holds `path`, or None where the system doesn't tell;
    `mounts` as above."""
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
    return kind or None
