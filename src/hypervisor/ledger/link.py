"""One connection to a PostgreSQL server, which waits as seldom as it can."""

from __future__ import annotations

import _thread
import ctypes
import select

from hypervisor.ledger.libpq import Error, Pointer, Result, chunks, decoded, dumped, pq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T")

# A statement is prepared once it has been carried out so often, and no more than so many are.
_OFTEN = 5
_PREPARED = 100
_CANCELLED_WITHIN = 5.0
# Numbers of libpq-fe.h.
_OK = 0
_EMPTY, _COPY_IN, _ABORTED = 0, 4, 11
_FAILED = (5, 7)  # a bad response, a fatal error
_STATE = ord("C")
# By itself libpq would print what the server remarks.
_quiet = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)(lambda *_: None)


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
        self._connection: Pointer | None = None
        texts = ctypes.c_char_p * (len(options) + 1)
        names = texts(*(name.encode() for name in options), None)
        values = texts(*(one.encode("utf-8", "surrogateescape") for one in options.values()), None)
        connection = _apart(lambda: pq.PQconnectdbParams(names, values, 1))
        if pq.PQstatus(connection) != _OK:
            text = decoded(pq.PQerrorMessage(connection))
            pq.PQfinish(connection)
            raise Error(text)
        pq.PQsetNoticeProcessor(connection, _quiet, None)
        pq.PQsetnonblocking(connection, 1)
        pq.PQenterPipelineMode(connection)
        self._poll = select.poll()
        self._socket = pq.PQsocket(connection)
        self._connection = connection

    def __enter__(self) -> None:
        """Begin what must not be cut off."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Error):
            self._abandon()

    @property
    def is_open(self) -> bool:
        """False once it was closed or lost."""
        return self._connection is not None and pq.PQstatus(self._connection) == _OK

    @property
    def in_transaction(self) -> bool:
        """True within a transaction, a failed one too."""
        return self.is_open and bool(pq.PQtransactionStatus(self._connection))

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        number: int = pq.PQbackendPID(self._connection)
        return number

    @property
    def has_tls(self) -> bool:
        """True if nobody on the way can read it."""
        return bool(pq.PQsslInUse(self._connection))

    @property
    def host(self) -> str:
        """The name of the machine at the other end, or the folder of a socket."""
        return decoded(pq.PQhost(self._connection))

    @property
    def address(self) -> str:
        """The address of the machine at the other end, if it has one."""
        return decoded(pq.PQhostaddr(self._connection))

    def close(self) -> None:
        """End it; what was not committed is undone."""
        connection, self._connection = self._connection, None
        self._sent.clear()
        if connection is not None:
            pq.PQfinish(connection)

    def send(self, statement: bytes, values: Sequence[object] = ()) -> Result:
        """Send one statement; `receive` waits for what it finds. Raises Error."""
        pairs = [dumped(value) for value in values]
        kinds = tuple(kind for kind, _ in pairs)
        count = len(pairs)
        texts = (ctypes.c_char_p * count)(*(text for _, text in pairs))
        with self:
            name = self._name(statement, kinds)
            if name:
                sent = pq.PQsendQueryPrepared(self._open(), name, count, texts, None, None, 0)
            else:
                types = (ctypes.c_uint * count)(*kinds)
                sent = pq.PQsendQueryParams(
                    self._open(), statement, count, types, texts, None, None, 0
                )
            return self._awaited(sent)

    def receive(self, result: Result) -> None:
        """Wait for what a statement finds. Raises the Error that kept it from that."""
        if not result.is_here:
            with self:
                self._must(pq.PQsendFlushRequest(self._open()))
                self._pump(result)
        if result.error is not None:
            raise result.error

    def mark(self) -> None:
        """Have what is sent from here on stand for itself: an error before undoes none of it."""
        with self:
            self._must(pq.PQpipelineSync(self._open()))
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
        text = list(chunks(rows))
        self.sync()
        with self:
            pq.PQexitPipelineMode(self._open())
            self._must(pq.PQsendQuery(self._open(), statement))
            # Where the server refuses something, it takes no more and says why.
            if self._answer() == _COPY_IN and all(
                self._put(pq.PQputCopyData, chunk, len(chunk)) for chunk in text
            ):
                self._put(pq.PQputCopyEnd, None)
            while self._answer() != _EMPTY:
                pass
            pq.PQenterPipelineMode(self._open())
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
        self._awaited(pq.PQsendPrepare(self._open(), name, statement, len(kinds), types))
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
            while pq.PQisBusy(self._open()):
                self._wait()
            pointer = pq.PQgetResult(self._open())
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
                pq.PQclear(pointer)

    def _answer(self) -> int:
        """Return the kind of the next answer outside of a pipeline, 0 for none."""
        while pq.PQflush(self._open()) > 0 or pq.PQisBusy(self._open()):
            self._wait()
        pointer = pq.PQgetResult(self._open())
        if not pointer:
            return _EMPTY
        self._error(pointer)
        status: int = pq.PQresultStatus(pointer)
        pq.PQclear(pointer)
        return status

    def _put(self, call: Callable[..., int], *values: object) -> bool:
        while (put := call(self._open(), *values)) == 0:
            self._wait()
        return put > 0

    def _wait(self) -> None:
        """Wait until the server has read or said something."""
        unsent = pq.PQflush(self._open())
        self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
        self._poll.poll()
        # Its last words may have come before the end.
        if not pq.PQconsumeInput(self._open()) and pq.PQisBusy(self._open()):
            raise self._lost()

    def _error(self, pointer: Pointer) -> Error | None:
        status = pq.PQresultStatus(pointer)
        if status == _ABORTED:
            return self._failure or Error("undone by an error before")
        if status not in _FAILED:
            return None
        text = decoded(pq.PQresultErrorMessage(pointer))
        state = decoded(pq.PQresultErrorField(pointer, _STATE))
        error = Error(text.partition(":  ")[2] if state else text, state)
        self._failure = self._failure or error
        return error

    def _abandon(self) -> None:
        """Have the server stop at what it does, and end the connection."""
        try:
            if self._sent and self.is_open and hasattr(pq, "PQcancelCreate"):
                pq.PQcancelCreate.restype = Pointer
                cancel = pq.PQcancelCreate(self._connection)
                _apart(lambda: pq.PQcancelBlocking(cancel), _CANCELLED_WITHIN)
        finally:
            self.close()

    def _open(self) -> Pointer:
        if self._connection is None:
            raise Error("the connection is closed")
        return self._connection

    def _must(self, done: object) -> None:
        if not done:
            raise self._lost()

    def _lost(self) -> Error:
        """End the connection, and return what was said at the end."""
        text = decoded(pq.PQerrorMessage(self._open()))
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
