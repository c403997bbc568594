"""Whether a ledger may be used here, and what a person is told when it can't."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, LedgerError, NoLedger, Options, adopt, contents, schema
from hypervisor.ledger.claim_ids import token_no
from hypervisor.system import machine, mounts
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.state import State
from ledger.support import (
    Child,
    content,
    counts,
    first_release,
    is_intact,
    items,
    locks_of,
    opened,
    owned_by_nobody,
)

pytestmark = pytest.mark.embedded

NOBODY = 65534


def _database(root: str) -> str:
    return os.path.join(root, ".hypervisor", "ledger.db")


def _used(root: str, **options: object) -> str:
    """Make a ledger at `root` with one live claim; return its token."""
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(3), Options(**options))  # type: ignore[arg-type]
        return ledger.claims.claim("q", "w")[0].token


def _refusal(root: str, create: bool = False) -> str:
    with pytest.raises(HypervisorError) as error, Ledger.open(root, create=create):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_a_ledger_verbs_say_so_and_make_nothing(root: str) -> None:
    with pytest.raises(NoLedger, match="no queue was ever opened here; hypervisor open") as error:
        Ledger.open(root)
    assert error.value.exit_code == 2
    assert os.listdir(root) == []


def test_the_ledger_is_its_owners_only(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(1))
    for folder, _, names in os.walk(os.path.join(root, ".hypervisor")):
        assert os.stat(folder).st_mode & 0o777 == 0o700
        for name in names:
            if name != ".gitignore":
                assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name


def test_a_moved_folder_goes_on_as_it_was_and_locks_move_along(root: str, tmp_path: Path) -> None:
    token = _used(root)
    moved = str(tmp_path / "moved")
    os.rename(root, moved)
    with Ledger.open(moved) as ledger:
        assert ledger.ends.finish(token, "done", {}) == "done"
        [claim] = ledger.claims.claim("q", "w")
        assert locks_of(moved) == [claim.id]
    assert not os.path.exists(root), "nothing is made where the folder once was"


def test_a_copied_ledger_is_refused_until_it_is_adopted(root: str, tmp_path: Path) -> None:
    token = _used(root)
    copy = str(tmp_path / "copy")
    shutil.copytree(root, copy, symlinks=True)
    assert "a copy of another project's" in _refusal(copy)
    assert _refusal(copy).endswith("hypervisor adopt")
    adopt(copy)
    with Ledger.open(copy) as ledger:
        assert counts(ledger) == {"ready": 3}
        assert locks_of(copy) == [], "locks that were copied along hold nobody up"
        with pytest.raises(NotOwner):
            ledger.ends.finish(token, "done", {})
        assert ledger.claims.claim("q", "w", 3)
    with Ledger.open(root) as ledger:
        assert ledger.ends.finish(token, "done", {}) == "done", "the original is as it was"


def test_adopting_leaves_the_locks_of_the_original_in_a_shared_folder(
    root: str, tmp_path: Path
) -> None:
    shared = tmp_path / "locks"
    _used(root, lock_dir=str(shared))
    copy = str(tmp_path / "copy")
    shutil.copytree(root, copy, symlinks=True)
    adopt(copy)
    with Ledger.open(copy) as ledger:
        assert "task-00000" not in [claim.id for claim in ledger.claims.claim("q", "w", 3)]


def test_adopting_frees_no_item_into_a_list_that_was_replaced(root: str, tmp_path: Path) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(2), Options(source="1"))
        ledger.claims.claim("q", "w")
        ledger.generations.open("q", items(1, start=1), Options(source="2"))
    copy = str(tmp_path / "copy")
    shutil.copytree(root, copy, symlinks=True)
    adopt(copy)
    with Ledger.open(copy) as ledger:
        assert ledger.items.all_open() == {"task-00001": "q"}


def test_adopting_hands_out_nothing_that_is_to_be_set_aside_when_it_comes_back(
    root: str, tmp_path: Path
) -> None:
    _used(root)
    with Ledger.open(root) as ledger:
        ledger.narrowing.narrow("q", {"task-00000", "task-00001"}, "x=1")
    copy = str(tmp_path / "copy")
    shutil.copytree(root, copy, symlinks=True)
    adopt(copy)
    with Ledger.open(copy) as ledger:
        assert counts(ledger) == {"ready": 1, "waiting": 2}
        assert [claim.id for claim in ledger.claims.claim("q", "w", 3)] == ["task-00002"]
        ledger.narrowing.narrow("q", (), "all")
        assert [claim.id for claim in ledger.claims.claim("q", "w", 3)] == [
            "task-00000",
            "task-00001",
        ]


def test_the_ledger_of_another_machine_is_refused(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _used(root)
    monkeypatch.setattr(machine, "machine_id", lambda: "elsewhere")
    monkeypatch.setattr(machine, "boot_id", lambda: "another")
    assert "a copy of another project's" in _refusal(root)
    adopt(root)
    with Ledger.open(root) as ledger:
        assert counts(ledger) == {"ready": 3}


def test_adopting_where_no_ledger_is_makes_none(root: str) -> None:
    with pytest.raises(NoLedger):
        adopt(root)
    os.mkdir(os.path.join(root, ".hypervisor"))
    with pytest.raises(NoLedger):
        adopt(root)
    assert not os.path.exists(_database(root))


def test_a_ledger_of_a_later_version_is_refused_and_left_alone(root: str) -> None:
    _used(root)
    with sqlite3.connect(_database(root)) as connection:
        connection.execute(f"pragma user_version = {schema.VERSION + 1}")
    connection.close()
    before = Path(_database(root)).read_bytes()
    assert "written by a later hypervisor" in _refusal(root, create=True)
    assert "update hypervisor" in _refusal(root)
    with pytest.raises(LedgerError, match="later"):
        adopt(root)
    assert Path(_database(root)).read_bytes() == before


@pytest.mark.parametrize("version", [0, 1, 7])
def test_another_programs_database_is_refused_and_left_alone(root: str, version: int) -> None:
    State.create(root)
    with sqlite3.connect(_database(root)) as connection:
        connection.execute("create table theirs (x)")
        connection.execute(f"pragma user_version = {version}")
    connection.close()
    before = Path(_database(root)).read_bytes()
    for create in False, True:
        assert "not a ledger of hypervisor" in _refusal(root, create)
    with pytest.raises(LedgerError, match="not a ledger"):
        adopt(root)
    assert Path(_database(root)).read_bytes() == before


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(root: str, size: int) -> None:
    State.create(root)
    Path(_database(root)).write_bytes(b"garbage!" * size)
    assert "not a database" in _refusal(root, create=True)
    assert "move it away" in _refusal(root)
    assert Path(_database(root)).read_bytes() == b"garbage!" * size


def test_a_damaged_ledger_is_told_and_not_written(root: str) -> None:
    _used(root)
    with open(_database(root), "r+b") as file:
        file.seek(2048)
        file.write(os.urandom(200_000))
    for verb in (lambda ledger: ledger.claims.claim("q", "w"), lambda ledger: ledger.ends.expire()):
        with pytest.raises((LedgerError, sqlite3.DatabaseError)) as error, opened(root) as ledger:
            verb(ledger)
        assert "malformed" in str(error.value)


def test_an_empty_file_counts_as_no_ledger_and_is_made_one_by_open(root: str) -> None:
    State.create(root)
    Path(_database(root)).touch()
    assert "no queue was ever opened here" in _refusal(root)
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(1))
    assert _used(root)


def test_a_ledger_that_may_not_be_written_is_told_in_one_line(root: str) -> None:
    _used(root)
    folder = os.path.join(root, ".hypervisor")
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o500 if name in ("locks", "live") else 0o400)
    os.chmod(folder, 0o500)

    def work() -> str:
        if os.geteuid() == 0:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        for parent in [Path(root), *Path(root).parents]:
            if not os.access(parent, os.X_OK):
                return f"the test can't reach {parent}"
        try:
            with opened(root) as ledger:
                ledger.claims.claim("q", "w")
        except HypervisorError as error:
            return str(error)
        return "no error"

    try:
        with owned_by_nobody(Path(root)):
            told = Child(work).result()
    finally:
        os.chmod(folder, 0o700)
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o755)
    assert "ermission denied" in told and "make the folder and its files writable" in told
    assert "\n" not in told
    with opened(root) as ledger:
        assert counts(ledger) == {"ready": 2, "claimed": 1}


def _fill(root: str, room: int) -> str:
    """Work until files may not grow further; say what the ledger told."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with opened(root) as ledger:
        claims = ledger.claims.claim("q", "w", 50)
        size = max(os.stat(_database(root) + end).st_size for end in ("", "-wal"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
        accepted = 0
        try:
            for claim in claims:
                ledger.ends.finish(claim.token, "done", {"summary": "x" * 3000})
                accepted += 1
        except HypervisorError as error:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            again = ledger.ends.finish(claims[accepted].token, "done", {"summary": "now"})
            return f"{accepted} {again} {type(error).__name__} {error}"
    return "no error"


@pytest.mark.parametrize("room", [0, 5000, 60_000])
def test_a_full_disk_is_told_in_one_line_and_loses_nothing_accepted(root: str, room: int) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(60))
    accepted, again, kind, told = Child(_fill, root, room).result().split(" ", 3)
    assert kind == "LedgerError" and "free some space" in told and "\n" not in told
    assert again == "done", "the same process goes on once there is room"
    with opened(root) as ledger:
        assert is_intact(ledger)
        assert counts(ledger) == {
            "done": int(accepted) + 1,
            "claimed": 49 - int(accepted),
            "ready": 10,
        }
        assert len(locks_of(root)) == 49 - int(accepted)


def _migrate(root: str) -> list[object]:
    schema.MIGRATIONS = (*schema.MIGRATIONS, "alter table item add column weight integer default 7")
    schema.VERSION += 1
    with opened(root) as ledger:
        version = ledger.store.row("pragma user_version")[0]
        return [version, [weight for (weight,) in ledger.store.rows("select weight from item")]]


def test_a_ledger_of_an_earlier_version_is_migrated_with_its_claims(root: str) -> None:
    token = _used(root)
    children = [Child(_migrate, root) for _ in range(4)]
    assert [child.result() for child in children] == [[schema.VERSION + 1, [7, 7, 7]]] * 4
    assert "written by a later hypervisor" in _refusal(root), "this process knows one less"
    with sqlite3.connect(_database(root)) as connection:
        [row] = connection.execute("select token from claim").fetchall()
        assert row == (token,)
    connection.close()


def test_a_ledger_of_the_first_release_opens_and_works(root: str) -> None:
    token = first_release(root)
    with opened(root) as ledger:
        assert ledger.store.row("pragma user_version")[0] == schema.VERSION
        assert ledger.project == "notes"
        assert next(ledger.queries.results("q")).report["commit"] == "0123abc"
        assert ledger.queries.proofs(ledger.queues.get("q").no)["claimed"] == 1
        assert ledger.ends.finish(token, "done", {"summary": "still mine"}) == "done"
        claims = ledger.claims.claim("q", "w", 5)
        assert [claim.id for claim in claims] == ["c", "d", "e"]
        assert claims[0].payload == {"n": 3} and claims[0].instructions == "Do it."
        assert token_no(claims[0].token) > token_no(token)
        for claim in claims:
            assert ledger.ends.finish(claim.token, "blocked", {"reason": "why"}) == "blocked"
        assert counts(ledger) == {"done": 2, "blocked": 3}
        assert is_intact(ledger)


def test_what_a_ledger_of_the_first_release_would_run_is_told(root: str) -> None:
    first_release(root)
    assert [(row.name, row.checks, row.items) for row in contents(root)] == [("q", None, 5)]


def _break_migration(root: str) -> str:
    schema.MIGRATIONS = (*schema.MIGRATIONS, "create table extra (x); create table item (x)")
    schema.VERSION += 1
    try:
        with opened(root):
            return "no error"
    except HypervisorError as error:
        return str(error)


def test_a_new_ledger_is_made_at_once_as_all_migrations_make_it() -> None:
    def made_of(statements: list[str]) -> dict[str, list[tuple[object, ...]]]:
        with sqlite3.connect(":memory:") as connection:
            for statement in statements:
                connection.execute(statement)
        names = [name for (name,) in connection.execute("select name from sqlite_master")]
        asked = "table_xinfo", "index_list", "index_xinfo", "foreign_key_list"
        return {
            f"{what} {name}": connection.execute(f"pragma {what} ({name})").fetchall()
            for what in asked
            for name in names
        } | {"counter": connection.execute("select * from counter").fetchall()}

    fresh = schema.fresh()
    assert not any(statement.split()[0] == "alter" for statement in fresh)
    assert made_of(fresh) == made_of(";".join(schema.MIGRATIONS).split(";"))


def test_a_migration_that_fails_leaves_the_earlier_version_as_it_was(root: str) -> None:
    _used(root)
    assert "already exists" in Child(_break_migration, root).result()
    with opened(root) as ledger:
        assert counts(ledger) == {"ready": 2, "claimed": 1}
        assert ledger.store.row("select count(*) from sqlite_master where name = 'extra'")[0] == 0


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 0:26 / /home/local rw,nosuid master:3 - xfs /dev/vdb rw
32 22 0:27 / /mnt/with\\040blank rw - cifs //server/share rw
33 22 0:28 / /homework rw - btrfs /dev/vdc rw
34 22 0:29 / /twice rw - ext4 /dev/vdd rw
35 34 0:30 / /twice rw - fuse.sshfs me@there: rw
an odd line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/srv/x", None),
        ("/home", "nfs4"),
        ("/home/me/project/.hypervisor", "nfs4"),
        ("/home/local/project", None),
        ("/homework/project", None),
        ("/mnt/with blank/project", "cifs"),
        ("/mnt/with blank", "cifs"),
        ("/twice/x", "fuse.sshfs"),
    ],
)
def test_network_file_systems_are_told_from_local_ones(path: str, kind: str | None) -> None:
    assert mounts.network_file_system(path, MOUNTS) == kind


def test_no_ledger_is_made_or_adopted_on_a_network_file_system(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "network_file_system", lambda path: "nfs4")
    told = _refusal(root, create=True)
    assert "on a network file system (nfs4)" in told and "local disk" in told
    assert not os.path.exists(_database(root))
    monkeypatch.undo()
    _used(root)
    monkeypatch.setattr(mounts, "network_file_system", lambda path: "nfs4")
    with pytest.raises(LedgerError, match="nfs4"):
        adopt(root)


def test_this_machines_own_disk_counts_as_local(root: str) -> None:
    assert mounts.network_file_system(root) is None


def test_the_log_is_folded_back_when_the_last_one_closes(root: str) -> None:
    with Ledger.open(root, create=True) as first, Ledger.open(root) as second:
        second.generations.open("q", items(3))
        before = content(first)
    assert sorted(os.listdir(os.path.join(root, ".hypervisor"))) == [
        ".gitignore",
        "id",
        "ledger.db",
        "ledger.lock",
        "live",
        "locks",
    ]
    with opened(root) as ledger:
        assert content(ledger) == before
