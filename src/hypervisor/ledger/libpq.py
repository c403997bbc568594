"""libpq through ctypes, as far as the ledger needs it: connections, statements and their rows.

A driver for Python takes several times as long to load as the rest of a call. The library is the
one that the wheel psycopg-binary brings along, else the system's.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import select
import sys

from hypervisor.ledger.dialect import Row, row_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T")
    Value = str | int | float | bytes | None

# A statement is prepared once it has been carried out so often, and no more than so many are.
_OFTEN = 5
_PREPARED = 100
# Bytes of a COPY that are sent at once.
_CHUNK = 1 << 16
_CANCELLED_WITHIN = 5.0

# Numbers of libpq-fe.h and of the server's catalogue.
_OK = 0
_EMPTY, _COPY_IN, _SYNC, _ABORTED = 0, 4, 10, 11
_FAILED = (5, 7)  # a bad response, a fatal error
_STATE = ord("C")
_BOOL, _BYTEA, _INT8, _INT2, _INT4, _FLOAT8 = 16, 17, 20, 21, 23, 701
_OID, _FLOAT4, _NUMERIC = 26, 700, 1700
_UNTOLD = 0


class Error(Exception):
    """What the server or libpq says; `state` is the SQLSTATE, empty where no server has spoken."""

    def __init__(self, text: str, state: str = "") -> None:
        super().__init__(text)
        self.state = state


class _Pointer(ctypes.c_void_p):
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


_pq = _load()
for _name in ("PQconnectdbParams", "PQgetResult", "PQconninfoParse", "PQconndefaults"):
    getattr(_pq, _name).restype = _Pointer
for _name in (
    "PQerrorMessage", "PQresultErrorMessage", "PQresultErrorField", "PQfname", "PQcmdTuples",
    "PQhost", "PQhostaddr",
):  # fmt: skip
    getattr(_pq, _name).restype = ctypes.c_char_p
# What only looks into memory keeps other threads waiting for no time worth naming.
_memory = ctypes.PyDLL(None, handle=_pq._handle)
_value, _is_null = _memory.PQgetvalue, _memory.PQgetisnull
_value.restype = ctypes.c_char_p
_quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda *_: None)


def version() -> int:
    """Return the library's version, as 180002 for 18.2."""
    number: int = _pq.PQlibVersion()
    return number


def parse(address: str) -> dict[str, str]:
    """Return what an address says, by libpq's names. Raises Error, which quotes nothing of it."""
    told = ctypes.c_char_p()
    found = _pq.PQconninfoParse(address.encode("utf-8", "surrogateescape"), ctypes.byref(told))
    if not found:
        # What it doesn't understand may be a part of a password.
        raise Error(_text(told.value).partition('"')[0])
    return _options(found)


def defaults() -> dict[str, str]:
    """Return what the environment and a service's file say of a connection."""
    found = _pq.PQconndefaults()
    # Without: an unknown service. Connecting says so.
    return _options(found) if found else {}


def _options(found: _Pointer) -> dict[str, str]:
    said = {}
    option = ctypes.cast(found, ctypes.POINTER(_Option))
    place = 0
    while option[place].keyword is not None:
        if option[place].value is not None:
            said[_text(option[place].keyword)] = _text(option[place].value)
        place += 1
    _pq.PQconninfoFree(found)
    return said


class Result:
    """What one statement has found, once its link has received it."""

    __slots__ = ("_count", "_next", "_pointer", "_read", "error", "is_here", "kind")

    def __init__(self) -> None:
        self.is_here = False
        self.error: Error | None = None
        self._pointer: _Pointer | None = None
        self._next = self._count = 0

    def __del__(self, clear: Callable[[_Pointer], None] = _pq.PQclear) -> None:
        if self._pointer is not None:
            clear(self._pointer)

    def take(self, pointer: _Pointer) -> None:
        """Take over what libpq has made."""
        self.is_here, self._pointer = True, pointer
        self._count = _pq.PQntuples(pointer)
        places = range(_pq.PQnfields(pointer))
        self.kind = row_kind(tuple(_text(_pq.PQfname(pointer, place)) for place in places))
        loaders = [_LOADERS.get(_pq.PQftype(pointer, place), bytes.decode) for place in places]
        # Only a text can be empty: what else is empty is null, which need not be asked for.
        self._read = [(place, load, load is bytes.decode) for place, load in enumerate(loaders)]

    @property
    def changed(self) -> int:
        """How many rows it changed or has found, -1 for what does neither."""
        return int(_pq.PQcmdTuples(self._pointer) or -1)

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


def _dumped(value: object) -> tuple[int, bytes | None]:
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


class Link:
    """One connection, for use in one thread.

    It is in libpq's pipeline mode: what is sent waits for no answer before one is asked for. Where
    a signal raises in the midst of a call, the link ends: nobody knows what is still to come.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        """Connect; `dbname` may be a whole address. Raises Error."""
        self._sent: list[Result | None] = []
        self._failure: Error | None = None
        # How often each statement was carried out, and those that are prepared, by their names.
        self._times: dict[tuple[bytes, tuple[int, ...]], int] = {}
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._names = 0
        self._connection: _Pointer | None = None
        texts = ctypes.c_char_p * (len(options) + 1)
        names = texts(*(name.encode() for name in options), None)
        values = texts(*(one.encode("utf-8", "surrogateescape") for one in options.values()), None)
        connection = _apart(lambda: _pq.PQconnectdbParams(names, values, 1))
        if _pq.PQstatus(connection) != _OK:
            text = _text(_pq.PQerrorMessage(connection))
            _pq.PQfinish(connection)
            raise Error(text)
        _pq.PQsetNoticeProcessor(connection, _quiet, None)
        _pq.PQsetnonblocking(connection, 1)
        _pq.PQenterPipelineMode(connection)
        self._poll = select.poll()
        self._socket = _pq.PQsocket(connection)
        self._connection = connection

    def __enter__(self) -> None:
        """Begin what must not be cut off."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Error):
            self._abandon()

    @property
    def is_open(self) -> bool:
        """False once it was closed or lost."""
        return self._connection is not None and _pq.PQstatus(self._connection) == _OK

    @property
    def in_transaction(self) -> bool:
        """True within a transaction, a failed one too."""
        return self.is_open and bool(_pq.PQtransactionStatus(self._connection))

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        number: int = _pq.PQbackendPID(self._connection)
        return number

    @property
    def has_tls(self) -> bool:
        """True if nobody on the way can read it."""
        return bool(_pq.PQsslInUse(self._connection))

    @property
    def host(self) -> str:
        """The name of the machine at the other end, or the folder of a socket."""
        return _text(_pq.PQhost(self._connection))

    @property
    def address(self) -> str:
        """The address of the machine at the other end, if it has one."""
        return _text(_pq.PQhostaddr(self._connection))

    def close(self) -> None:
        """End it; what was not committed is undone."""
        connection, self._connection = self._connection, None
        self._sent.clear()
        if connection is not None:
            _pq.PQfinish(connection)

    def send(self, statement: bytes, values: Sequence[object] = ()) -> Result:
        """Send one statement; `receive` waits for what it finds. Raises Error."""
        pairs = [_dumped(value) for value in values]
        kinds = tuple(kind for kind, _ in pairs)
        count = len(pairs)
        texts = (ctypes.c_char_p * count)(*(text for _, text in pairs))
        with self:
            name = self._name(statement, kinds)
            if name:
                sent = _pq.PQsendQueryPrepared(self._open(), name, count, texts, None, None, 0)
            else:
                types = (ctypes.c_uint * count)(*kinds)
                sent = _pq.PQsendQueryParams(
                    self._open(), statement, count, types, texts, None, None, 0
                )
            return self._awaited(sent)

    def receive(self, result: Result) -> None:
        """Wait for what a statement finds. Raises the Error that kept it from that."""
        if not result.is_here:
            with self:
                self._must(_pq.PQsendFlushRequest(self._open()))
                self._pump(result)
        if result.error is not None:
            raise result.error

    def mark(self) -> None:
        """Have what is sent from here on stand for itself: an error before undoes none of it."""
        with self:
            self._must(_pq.PQpipelineSync(self._open()))
            self._sent.append(None)

    def sync(self) -> None:
        """Wait for the answers to all that was sent. Raises the first Error among them."""
        self.mark()
        with self:
            self._pump(None)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def copy(self, statement: bytes, rows: Iterable[Sequence[object]]) -> None:
        """Carry out a COPY from `rows`. Raises Error."""
        chunks = list(_chunks(rows))
        self.sync()
        with self:
            _pq.PQexitPipelineMode(self._open())
            self._must(_pq.PQsendQuery(self._open(), statement))
            if self._answer() == _COPY_IN:
                for chunk in chunks:
                    self._put(_pq.PQputCopyData, chunk, len(chunk))
                self._put(_pq.PQputCopyEnd, None)
            while self._answer() != _EMPTY:
                pass
            _pq.PQenterPipelineMode(self._open())
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def forget(self) -> None:
        """Have the server forget what is prepared: after an error, part of it may not be. Raises
        Error."""
        if self._prepared:
            self._prepared.clear()
            self.send(b"deallocate all")
            self.sync()

    def _name(self, statement: bytes, kinds: tuple[int, ...]) -> bytes | None:
        """Return the name of a statement that comes often, None for another."""
        key = statement, kinds
        if key in self._prepared:
            return self._prepared[key]
        self._times[key] = self._times.get(key, 0) + 1
        if self._times[key] <= _OFTEN or len(self._prepared) == _PREPARED:
            return None
        self._names += 1
        name = self._prepared[key] = b"s%d" % self._names
        types = (ctypes.c_uint * len(kinds))(*kinds)
        self._awaited(_pq.PQsendPrepare(self._open(), name, statement, len(kinds), types))
        return name

    def _awaited(self, sent: int) -> Result:
        self._must(sent)
        result = Result()
        self._sent.append(result)
        return result

    def _pump(self, result: Result | None) -> None:
        """Take answers until that to a statement, else all, are there."""
        ended = False
        while not result.is_here if result is not None else self._sent:
            while _pq.PQisBusy(self._open()):
                self._wait()
            pointer = _pq.PQgetResult(self._open())
            if not pointer:
                # The end of the answers to one statement; twice, or with the connection, to all.
                if ended or not self.is_open:
                    raise self._lost()
                ended = True
                continue
            ended = False
            at = self._sent.pop(0)
            if at is not None:
                at.take(pointer)
                at.error = self._error(pointer)
            else:
                _pq.PQclear(pointer)

    def _answer(self) -> int:
        """Return the kind of the next answer outside of a pipeline, 0 for none."""
        while _pq.PQflush(self._open()) or _pq.PQisBusy(self._open()):
            self._wait()
        pointer = _pq.PQgetResult(self._open())
        if not pointer:
            return _EMPTY
        self._error(pointer)
        status: int = _pq.PQresultStatus(pointer)
        _pq.PQclear(pointer)
        return status

    def _put(self, call: Callable[..., int], *values: object) -> None:
        while (put := call(self._open(), *values)) == 0:
            self._wait()
        self._must(put > 0)

    def _wait(self) -> None:
        """Wait until the server has read or said something."""
        unsent = _pq.PQflush(self._open())
        self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
        self._poll.poll()
        # Its last words may have come before the end.
        if not _pq.PQconsumeInput(self._open()) and _pq.PQisBusy(self._open()):
            raise self._lost()

    def _error(self, pointer: _Pointer) -> Error | None:
        status = _pq.PQresultStatus(pointer)
        if status == _ABORTED:
            return self._failure or Error("undone by an error before")
        if status not in _FAILED:
            return None
        text = _text(_pq.PQresultErrorMessage(pointer))
        state = _text(_pq.PQresultErrorField(pointer, _STATE))
        error = Error(text.partition(":  ")[2] if state else text, state)
        self._failure = self._failure or error
        return error

    def _abandon(self) -> None:
        """Have the server stop at what it does, and end the connection."""
        try:
            if self._sent and self.is_open and hasattr(_pq, "PQcancelCreate"):
                _pq.PQcancelCreate.restype = _Pointer
                cancel = _pq.PQcancelCreate(self._connection)
                _apart(lambda: _pq.PQcancelBlocking(cancel), _CANCELLED_WITHIN)
        finally:
            self.close()

    def _open(self) -> _Pointer:
        if self._connection is None:
            raise Error("the connection is closed")
        return self._connection

    def _must(self, done: object) -> None:
        if not done:
            raise self._lost()

    def _lost(self) -> Error:
        """End the connection, and return what was said at the end."""
        text = _text(_pq.PQerrorMessage(self._open()))
        self.close()
        return self._failure or Error(text or "the connection is lost")


def _apart(call: Callable[[], T], seconds: float = -1) -> T | None:
    """Return what `call` gives, None after `seconds`; meanwhile, signals are handled."""
    made: list[T] = []
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            made.append(call())
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    done.acquire(timeout=seconds)
    return made[0] if made else None


def _chunks(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    chunk = bytearray()
    for row in rows:
        fields = []
        for value in row:
            kind, text = _dumped(value)
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


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
