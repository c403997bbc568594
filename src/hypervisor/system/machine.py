"""What machine this is, and which boot of it."""

from __future__ import annotations

import os
import sys

HIDDEN = "unknown"


def boot_id() -> str:
    """Return a name for this boot of the machine; containers have that of their host. HIDDEN where
    a sandbox keeps it."""
    try:
        return _first_line("/proc/sys/kernel/random/boot_id")
    except OSError:
        return _sysctl("kern.bootsessionuuid") or HIDDEN


def process_space() -> str | None:
    """Return a name for where a process's number means that process: this boot, and on Linux the
    pid namespace. None where that is hidden."""
    boot = boot_id()
    if boot == HIDDEN:
        return None
    if sys.platform == "darwin":
        return boot
    try:
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def machine_id() -> str:
    """Return a name for this machine (or container) that stays over reboots."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            name = _first_line(path)
        except OSError:
            continue
        if name:
            return name
    return _sysctl("kern.uuid") or os.uname().nodename


def _first_line(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 256).decode("utf-8", "replace").partition("\n")[0].strip()
    finally:
        os.close(descriptor)


def _sysctl(name: str) -> str:
    if sys.platform != "darwin":
        return ""
    import subprocess

    asked = subprocess.run(
        ["/usr/sbin/sysctl", "-n", name], check=False, capture_output=True, text=True
    )
    return asked.stdout.strip()
