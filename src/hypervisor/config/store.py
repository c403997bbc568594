"""Which store a shell means, and which one the project was first used with.

The address comes from HYPERVISOR_STORE, else from the user's own configuration; never from a file
of the project, which may come from anywhere. What is noted in the project is compared only.
"""

from __future__ import annotations

import os

from hypervisor.config.roots import user_file
from hypervisor.system.errors import HypervisorError, UsageError, mend_of
from hypervisor.system.state import LEDGER, State
from hypervisor.system.state import shown as shown_state
from hypervisor.system.text import one_line, shell

VARIABLE = "HYPERVISOR_STORE"
EMBEDDED = "sqlite"
SCHEMES = ("postgresql://", "postgres://")
# How what libpq and its logins read of the environment begins; tests hold it against libpq's words.
_READ = (
    "KRB5", "PGAPPNAME", "PGCHANNELBINDING", "PGCLIENTENCODING", "PGCONNECT_TIMEOUT", "PGDATABASE",
    "PGGSS", "PGHOST", "PGKRB", "PGLOADBALANCEHOSTS", "PGMAXPROTOCOL", "PGMINPROTOCOL", "PGOAUTH",
    "PGOPTIONS", "PGPASS", "PGPORT", "PGREQUIRE", "PGSERVICE", "PGSSL", "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS", "PGUSER",
)  # fmt: skip
_NOTE = "store"
_LONGEST = 1 << 16


def address() -> str | None:
    """Return the PostgreSQL address that this shell names, or None for the embedded store.

    Raises UsageError for what is neither.
    """
    told = os.environ.get(VARIABLE)
    if told is None:
        return parse(_configured(), f"{one_line(user_file())}: store")
    return parse(told, VARIABLE)


def environment() -> dict[str, str]:
    """Return the variables by which this shell is let into a PostgreSQL server, for those that it
    starts; none where it names no server, since they may hold a password. Raises UsageError."""
    if address() is None:
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith(_READ)}


def parse(told: str | None, where: str) -> str | None:
    """Return a PostgreSQL address as it is, None for nothing or `sqlite`; raise UsageError."""
    if not told or told.removesuffix(":") == EMBEDDED:
        return None
    if told.startswith(SCHEMES):
        return told
    raise UsageError(
        f"{where}: {one_line(shown(told), 80)} is not the address of a store",
        "use postgresql://HOST/DATABASE, or sqlite for the embedded store",
    )


def shown(told: str | None) -> str:
    """Return an address without its password, as it may be shown and kept."""
    if told is None:
        return EMBEDDED
    from urllib.parse import parse_qsl, urlencode, urlsplit

    try:
        parts = urlsplit(told)
        query = urlencode(
            [pair for pair in parse_qsl(parts.query) if pair[0] != "password"], safe="/"
        )
    except ValueError:
        return told.partition("://")[0] + "://…"
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=user.partition(":")[0] + at + host, query=query).geturl()


def has_password(told: str) -> bool:
    """True if an address carries its password, as no command line may."""
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(told)
    except ValueError:
        return True
    user = parts.netloc.rpartition("@")[0]
    return ":" in user or any(name == "password" for name, _ in parse_qsl(parts.query))


def noted(state: State | None) -> tuple[str, str] | None:
    """Return the address and the project that were noted when this state first used a store.

    Raises HypervisorError if the note can't be read.
    """
    if state is None:
        return None
    try:
        lines = state.folder.read(_NOTE, _LONGEST).decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HypervisorError(
            f"{one_line(shown_state(state.root, _NOTE))}: {error.strerror or error}",
            mend_of(error),
        ) from None
    return (lines[0], lines[1]) if len(lines) > 1 else None


def note(state: State, told: str | None, project: str) -> None:
    """Note which store a project uses; for the embedded one, that it uses no other any more."""
    if told is None:
        state.folder.remove(_NOTE)
    else:
        state.folder.write(_NOTE, f"{shown(told)}\n{project}\n".encode())


def check(root: str, told: str | None, state: State | None) -> tuple[str, str] | None:
    """Return what is noted, or raise if the project of `root` uses another store than `told`."""
    kept = noted(state)
    if kept is not None:
        if told is None or not same(kept[0], told):
            raise HypervisorError(
                f"{root}: its queues are in {one_line(kept[0], 200)}, and this shell names "
                f"{shown(told)}",
                f"export {VARIABLE}={shell(kept[0])}, or carry them over: hypervisor move FROM TO",
            )
    elif told is not None and state is not None and state.folder.look(LEDGER) is not None:
        raise HypervisorError(
            f"{root}: its queues are in the embedded store, and this shell names {shown(told)}",
            f"unset {VARIABLE}, or carry them over: hypervisor move sqlite {shell(shown(told))}",
        )
    return kept


def same(kept: str, told: str) -> bool:
    """True if two addresses name one database; who asks, and how, may differ."""
    return kept == told or _database(kept) == _database(told)


def _database(told: str) -> tuple[str, str, str]:
    from urllib.parse import parse_qs, unquote, urlsplit

    parts = urlsplit(told)
    query = parse_qs(parts.query)
    hosts = unquote(parts.netloc.rpartition("@")[2]).lower()
    name = unquote(parts.path.strip("/"))
    return (
        hosts.removesuffix(":5432") or ",".join(query.get("host", [])),
        ",".join(query.get("port", [])),
        name or ",".join(query.get("dbname", [])),
    )


def _configured() -> str | None:
    """Return `store` of the user's own configuration."""
    path = user_file()
    if not os.path.lexists(path):
        return None
    from hypervisor.config.toml import parse as parse_toml
    from hypervisor.config.toml import read_raw

    try:
        raw = read_raw(path)
    except OSError:
        return None
    # A key may spell its letters as escapes.
    if b"store" not in raw and b"\\" not in raw:
        return None
    told = parse_toml(raw, path).get("store")
    if told is not None and not isinstance(told, str):
        raise UsageError(f"{path}: store must be a text", 'write store = "postgresql://…"')
    return told
