"""libpq through ctypes, as far as the ledger needs it: what it knows of addresses, values, rows.

A driver for Python takes several times as long to load as the rest of a call. The library is the
one that the wheel psycopg-binary brings along, else the system's.
"""

from __future__ import annotations

import ctypes
import os
import sys

from hypervisor.ledger.dialect import Row, row_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# Bytes of a COPY that are sent at once.
_CHUNK = 1 << 16
# Types by their numbers in the server's catalogue.
_BOOL, _BYTEA, _INT8, _INT2, _INT4, _FLOAT8 = 16, 17, 20, 21, 23, 701
_OID, _FLOAT4, _NUMERIC = 26, 700, 1700
_UNTOLD = 0


class Error(Exception):
    """What the server or libpq says; `state` is the SQLSTATE, empty where no server has spoken."""

    def __init__(self, text: str, state: str = "") -> None:
        super().__init__(text)
        self.state = state


class Pointer(ctypes.c_void_p):
    """A pointer that stays one: ctypes turns those of its own kind into numbers."""


class _Option(ctypes.Structure):
    """What libpq knows of one word of an address."""

    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "value")),
        *((name, ctypes.c_char_p) for name in ("label", "dispchar")),
        ("dispsize", ctypes.c_int),
    )


def _path() -> str:
    for folder in sys.path:
        for within in ("psycopg_binary.libs", "psycopg_binary/.dylibs"):
            try:
                names = os.listdir(os.path.join(folder, within))
            except OSError:
                continue
            for name in names:
                if name.startswith("libpq"):
                    return os.path.join(folder, within, name)
    return "libpq.5.dylib" if sys.platform == "darwin" else "libpq.so.5"


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_path())
        # What a library before version 14 lacks.
        library.PQenterPipelineMode  # noqa: B018
    except (OSError, AttributeError) as error:
        raise ImportError(str(error), name="libpq") from None
    return library


pq = _load()
for _name in ("PQconnectdbParams", "PQgetResult", "PQconninfoParse", "PQconndefaults"):
    getattr(pq, _name).restype = Pointer
for _name in (
    "PQerrorMessage", "PQresultErrorMessage", "PQresultErrorField", "PQfname", "PQcmdTuples",
    "PQhost", "PQhostaddr",
):  # fmt: skip
    getattr(pq, _name).restype = ctypes.c_char_p
# What only looks into memory keeps other threads waiting for no time worth naming.
_memory = ctypes.PyDLL(None, handle=pq._handle)
_value, _is_null = _memory.PQgetvalue, _memory.PQgetisnull
_value.restype = ctypes.c_char_p


def version() -> int:
    """Return the library's version, as 180002 for 18.2."""
    number: int = pq.PQlibVersion()
    return number


def parse(address: str) -> dict[str, str]:
    """Return what an address says, by libpq's names. Raises Error, which quotes nothing of it."""
    told = ctypes.c_char_p()
    found = pq.PQconninfoParse(address.encode("utf-8", "surrogateescape"), ctypes.byref(told))
    if not found:
        # What it doesn't understand may be a part of a password.
        raise Error(decoded(told.value).partition('"')[0])
    return _options(found)


def defaults() -> dict[str, str]:
    """Return what the environment and a service's file say of a connection."""
    found = pq.PQconndefaults()
    # Without: an unknown service. Connecting says so.
    return _options(found) if found else {}


def _options(found: Pointer) -> dict[str, str]:
    said = {}
    option = ctypes.cast(found, ctypes.POINTER(_Option))
    place = 0
    while option[place].keyword is not None:
        if option[place].value is not None:
            said[decoded(option[place].keyword)] = decoded(option[place].value)
        place += 1
    pq.PQconninfoFree(found)
    return said


class Result:
    """What one statement has found, once its link has received it."""

    __slots__ = ("_count", "_next", "_pointer", "_read", "error", "is_here", "kind")

    def __init__(self) -> None:
        self.is_here = False
        self.error: Error | None = None
        self._pointer: Pointer | None = None
        self._next = self._count = 0

    def __del__(self, clear: Callable[[Pointer], None] = pq.PQclear) -> None:
        if self._pointer is not None:
            clear(self._pointer)

    def take(self, pointer: Pointer) -> None:
        """Take over what libpq has made."""
        self.is_here, self._pointer = True, pointer
        self._count = pq.PQntuples(pointer)
        places = range(pq.PQnfields(pointer))
        self.kind = row_kind(tuple(decoded(pq.PQfname(pointer, place)) for place in places))
        loaders = [_LOADERS.get(pq.PQftype(pointer, place), bytes.decode) for place in places]
        # Only a text can be empty: what else is empty is null, which need not be asked for.
        self._read = [(place, load, load is bytes.decode) for place, load in enumerate(loaders)]

    @property
    def changed(self) -> int:
        """How many rows it changed or has found, -1 for what does neither."""
        return int(pq.PQcmdTuples(self._pointer) or -1)

    def fetchone(self) -> Row | None:
        """Return the next row, or None."""
        row = self._next
        if row == self._count:
            return None
        self._next += 1
        pointer = self._pointer
        return self.kind(
            [
                load(value)
                if (value := _value(pointer, row, place))
                or (is_text and not _is_null(pointer, row, place))
                else None
                for place, load, is_text in self._read
            ]
        )

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row


def _number(text: bytes) -> int | float:
    """Sums and means, as SQLite tells them: whole numbers, else floats."""
    return int(text) if text.lstrip(b"-").isdigit() else float(text)


_LOADERS: dict[int, Callable[[bytes], object]] = {
    _BOOL: b"t".__eq__,
    _BYTEA: lambda text: bytes.fromhex(text[2:].decode()),
    _NUMERIC: _number,
    **dict.fromkeys((_INT8, _INT2, _INT4, _OID), int),
    **dict.fromkeys((_FLOAT4, _FLOAT8), float),
}


def dumped(value: object) -> tuple[int, bytes | None]:
    """Return a value as the server reads it, with the number of its type."""
    if value is None:
        return _UNTOLD, None
    if isinstance(value, str):
        text = value.encode()
        if b"\0" in text:
            raise Error("a text with a NUL byte in it can't be kept", "22021")
        return _UNTOLD, text
    if isinstance(value, bool):
        return _BOOL, b"t" if value else b"f"
    if isinstance(value, int):
        # The narrowest: the server widens by itself, and never narrows.
        for kind, bits in ((_INT2, 15), (_INT4, 31), (_INT8, 63)):
            if -1 << bits <= value < 1 << bits:
                return kind, b"%d" % value
        return _NUMERIC, b"%d" % value
    if isinstance(value, float):
        return _FLOAT8, repr(value).encode()
    if isinstance(value, bytes):
        return _BYTEA, b"\\x" + value.hex().encode()
    raise TypeError(f"{type(value).__name__} is no type of a value")


def chunks(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield rows as a COPY reads them."""
    chunk = bytearray()
    for row in rows:
        fields = []
        for value in row:
            kind, text = dumped(value)
            if text is not None and kind in (_UNTOLD, _BYTEA):
                for plain, escaped in _ESCAPES:
                    text = text.replace(plain, escaped)
            fields.append(b"\\N" if text is None else text)
        chunk += b"\t".join(fields) + b"\n"
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def decoded(raw: bytes | None) -> str:
    """Return a text of libpq's, the empty one for none."""
    return (raw or b"").decode("utf-8", "replace")
