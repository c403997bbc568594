"""Where news of a queue goes: the tables `[notify.NAME]` of the user's own configuration, never of
a project's file, which may come from anywhere."""

from __future__ import annotations

from hypervisor.config.roots import user_file
from hypervisor.config.toml import parse, read_raw
from hypervisor.system.errors import UsageError
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line

_LOOPBACK = ("localhost", "::1")
_KEYS = ("command", "webhook", "desktop", "details")
_SEE = "see docs/how-to/walk-away.md"


class Receiver(NamedTuple):
    """One entry: `command` (words; none: no command) gets the news on its standard input, `webhook`
    (an address, or "") as a POST, the `desktop` as a notice. Titles and reasons are told with
    `details` only."""

    name: str
    command: tuple[str, ...]
    webhook: str
    desktop: bool
    details: bool


def receiver(name: str) -> Receiver:
    """Return the entry `name`. Raises UsageError, which shows no address, for one that is missing
    or says what it may not, and OSError where the configuration can't be read."""
    path = user_file()
    tables = parse(read_raw(path), path).get("notify", {})
    told = tables.get(name) if isinstance(tables, dict) else None
    shown = f"[notify.{one_line(name, 40)}]"
    if not isinstance(told, dict):
        known = ", ".join(one_line(one, 40) for one in tables) if isinstance(tables, dict) else ""
        raise UsageError(
            f"no {shown} in {one_line(path)}",
            f"known there: {known}"
            if known
            else f'write {shown} there, and below it webhook = "…"',
        )
    where = f"{one_line(path)}: {shown}"
    if strange := [one_line(key, 40) for key in told if key not in _KEYS]:
        raise UsageError(f"{where}: unknown key {strange[0]}", f"known here: {', '.join(_KEYS)}")
    command, webhook = told.get("command", []), told.get("webhook", "")
    # A line is for the shell; words are run as they are.
    words = ["/bin/sh", "-c", command] if isinstance(command, str) and command else command or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{where}: command takes a line for the shell, or a list of words", _SEE)
    if not isinstance(webhook, str) or (webhook and not is_safe(webhook)):
        raise UsageError(
            f"{where}: webhook takes an https:// address without a login, or http:// of this "
            "machine",
            'write webhook = "https://HOST/PATH"',
        )
    switches = [told.get(key, False) for key in ("desktop", "details")]
    if not all(isinstance(switch, bool) for switch in switches):
        raise UsageError(f"{where}: desktop and details take true or false", _SEE)
    if bool(words) + bool(webhook) != 1 and not (switches[0] and not words and not webhook):
        raise UsageError(f"{where}: it takes one of command, webhook and desktop = true", _SEE)
    return Receiver(name, tuple(words), webhook, *switches)


def is_safe(address: str) -> bool:
    """True for an address that nobody on the way can read along: https, or this very machine."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or not address.isascii() or not address.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """True for a host that is this machine by its name alone."""
    from ipaddress import ip_address

    if host in _LOOPBACK:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
