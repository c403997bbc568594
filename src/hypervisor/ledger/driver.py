"""SQLite, without what its package loads beside it for dates, of which the ledger holds none.

That takes as long as the rest of it, and each event of a client is a start of its own.
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
    try:
        from _sqlite3 import (
            Connection,
            DatabaseError,
            Error,
            IntegrityError,
            OperationalError,
            Row,
            connect,
        )
    except ImportError:
        from sqlite3 import (
            Connection,
            DatabaseError,
            Error,
            IntegrityError,
            OperationalError,
            Row,
            connect,
        )

__all__ = [
    "Connection",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "OperationalError",
    "Row",
    "connect",
]
