"""Regular expressions that are compiled at their first use.

The library alone takes as long as the start of Python, and most events of a client need none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    def late(pattern: str) -> re.Pattern[str]:
        """Return the pattern; its flags are told in it: `(?m)`."""
        raise NotImplementedError

else:

    class late:
        """A pattern; its flags are told in it: `(?m)`."""

        __slots__ = ("_compiled", "_told")

        def __init__(self, pattern: str) -> None:
            self._told = pattern
            self._compiled = None

        def __getattr__(self, name: str) -> object:
            if self._compiled is None:
                import re

                self._compiled = re.compile(self._told)
            return getattr(self._compiled, name)
