"""SQLite, without what it loads beside itself: its package for dates, of which the ledger holds
none, and `functools` for one cache.

That takes three times as long as the rest of it, and each event of a client is a start of its own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import (
        Connection,
        DatabaseError,
        Error,
        IntegrityError,
        OperationalError,
        Row,
        connect,
    )
else:
    import sys

    class _Cache:
        """What `_sqlite3` takes from `functools` for its statements: the same thing in C, without
        the five packages that `functools` loads for the rest of it."""

        @staticmethod
        def lru_cache(size: int) -> object:
            return lambda call: _functools._lru_cache_wrapper(call, size, False, tuple)

    _stands_in = "functools" not in sys.modules
    try:
        if _stands_in:
            import _functools

            sys.modules["functools"] = _Cache
        from _sqlite3 import (
            Connection,
            DatabaseError,
            Error,
            IntegrityError,
            OperationalError,
            Row,
            connect,
        )

        # A cache that it can't use would show here.
        connect(":memory:").close()
    except (ImportError, AttributeError, TypeError):
        if sys.modules.get("functools") is _Cache:
            del sys.modules["functools"]
        sys.modules.pop("_sqlite3", None)
        from sqlite3 import (
            Connection,
            DatabaseError,
            Error,
            IntegrityError,
            OperationalError,
            Row,
            connect,
        )
    finally:
        if sys.modules.get("functools") is _Cache:
            del sys.modules["functools"]

__all__ = [
    "Connection",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "OperationalError",
    "Row",
    "connect",
]
