"""A ledger's file made into one that we would never have written."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import odd


def bytes_of(path: Path, rng: random.Random) -> None:
    """Write other bytes into the file, or a log beside it."""
    raw = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 3, 30))):
        at = rng.randrange(rng.choice((100, 2048, len(raw))))
        raw[at] = rng.randrange(256)
    whole = bytes(raw)
    if rng.random() < 0.2:
        whole = odd.spoilt(rng, whole, odd.text(rng))
    # In place: another file there would be refused as a copy.
    path.write_bytes(whole)
    if rng.random() < 0.1:
        odd.put(path.with_name("ledger.db-wal"), rng)


_ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n) select i from n"


def schema(path: Path, rng: random.Random) -> None:
    """Put views that never end in the place of tables, add triggers, or take things away."""
    connection = sqlite3.connect(path, isolation_level=None)
    tables = [
        row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")
    ]
    for table in rng.sample(tables, rng.choice((1, 1, len(tables)))):
        columns = [row[1] for row in connection.execute(f"pragma table_info ({table})")]
        column = rng.choice(columns)
        as_many = ", ".join(f"i as {name}" for name in columns)
        ways = (
            f"alter table {table} rename to was_{table};"
            f"create view {table} as with recursive n (i) as (select 1 union all "
            f"select i + 1 from n) select {as_many} from n",
            *(
                f"create trigger t_{table} {when} on {table} begin "
                f"select count(*) from ({_ENDLESS.replace('select i from n', 'select 1')}); end"
                for when in ("after insert", "before update", "after delete")
            ),
            f"create trigger u_{table} before update on {table} begin "
            f"select raise(abort, 'no'); end",
            f"create trigger v_{table} after update on {table} begin delete from {table}; end",
            f"drop table {table}",
            f"delete from {table}",
            f"alter table {table} rename column {column} to x",
            f"alter table {table} add column more text",
            f"create unique index w_{table} on {table} ({column})",
            f"create table more_{table} (x)",
        )
        try:
            connection.executescript(rng.choice(ways))
        except sqlite3.Error:
            continue
    if rng.random() < 0.1:
        connection.execute(f"pragma user_version = {rng.choice((0, 1, 2, 99))}")
    connection.close()


# The user's own choices, which a ledger keeps and nobody else may write: commands and folders.
_GIVEN = ("verify", "lock_dir", "results_dir", "folders", "commands")


def values(path: Path, rng: random.Random) -> None:
    """Write values of other kinds and sizes into columns, and JSON that is not ours."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma foreign_keys = off")
    tables = [
        row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")
    ]
    for table in rng.choices(tables, k=rng.choice((1, 3, 10))):
        columns = [row[1] for row in connection.execute(f"pragma table_info ({table})")]
        column = rng.choice([name for name in columns if name not in _GIVEN])
        row = connection.execute(
            f"select {column} from {table} where {column} is not null"
        ).fetchone()
        try:
            connection.execute(
                f"update {table} set {column} = ? where rowid % ? = 0",
                (_value(rng, row[0] if row else None), rng.choice((1, 1, 2))),
            )
        except (sqlite3.Error, UnicodeError):
            continue
    connection.close()


def _value(rng: random.Random, was: object) -> object:
    if isinstance(was, str) and was[:1] in ("{", "["):
        try:
            return odd.json_text(rng, json.loads(was))
        except ValueError:
            pass
    if rng.random() < 0.2:
        return odd.json_text(rng, {"summary": "s", "files": ["a.md"], "commit": "c"})
    return rng.choice((
        None, "", "x", b"\x00\xff", 0, -1, 2**63 - 1, -(2**63), 1.5, 1e308, float("inf"), "9" * 400,
        "\0", "../outside.md", "../near/key", "/etc/passwd", "a.md", "b", "done", "claimed",
        "ready", "open", "report", "x" * (1 << 20), "[]", "{}", odd.line(rng),
    ))  # fmt: skip
