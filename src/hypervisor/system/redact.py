"""Keys taken out of text before it is kept or shown: those of this environment, and whatever has
the shape of one."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MARK = "[redacted]"
# Names of what holds a secret; an author and a tokenizer hold none.
_NAMES = re.compile(
    r"KEY|TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?!OR)|(?:^|_)PAT(?:$|_)",
    re.IGNORECASE,
)
_SHORTEST = 8
# Keys of the services that the clients talk to, and of those that workers' commands often do.
_SHAPES = (
    r"AIza[0-9A-Za-z_-]{35}",
    r"ya29\.[0-9A-Za-z_-]{20,}",
    r"sk-[0-9A-Za-z_-]{20,}",
    r"gh[pousr]_[0-9A-Za-z]{36,}",
    r"github_pat_[0-9A-Za-z_]{40,}",
    r"glpat-[0-9A-Za-z_-]{20,}",
    r"xox[abprs]-[0-9A-Za-z-]{10,}",
    r"AKIA[0-9A-Z]{16}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
)
_SHAPED = re.compile("|".join(_SHAPES))


class Redactor:
    """Takes keys out of text. `environment` is where values of keys are known from."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = {
            value
            for name, value in (os.environ if environment is None else environment).items()
            if _NAMES.search(name) and len(value) >= _SHORTEST and not _is_place(value)
        }
        # The longest first: one key may begin with another.
        alternatives = [re.escape(value) for value in sorted(known, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*alternatives, *_SHAPES])) if known else _SHAPED

    def text(self, text: str) -> str:
        """Return `text` without keys."""
        return self._pattern.sub(MARK, text)

    def report(self, report: dict[str, Any]) -> dict[str, Any]:
        """Return a worker's report without keys."""
        return {name: self._value(value) for name, value in report.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        return [self._value(one) for one in value] if isinstance(value, list) else value

    def line(self, line: bytes) -> bytes:
        """Return a line of a log without keys; bytes that are no UTF-8 stay as they are."""
        shown = line.decode("utf-8", "surrogateescape")
        clean = self._pattern.sub(MARK, shown)
        return line if clean is shown else clean.encode("utf-8", "surrogateescape")


def secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables in `environment` that look like secrets, by their names or
    by what they hold, sorted."""
    return sorted(
        name for name, value in environment.items() if _NAMES.search(name) or _SHAPED.search(value)
    )


def _is_place(value: str) -> bool:
    """True for what names a file or socket: SSH_AUTH_SOCK, GOOGLE_APPLICATION_CREDENTIALS."""
    return value.startswith(("/", "./", "~/"))
