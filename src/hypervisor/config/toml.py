"""TOML files read within bounds: settings may come with a project from anywhere."""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.reading import KIB, NotReadable, read_file
from hypervisor.system.text import one_line

_LARGEST = 256 * KIB
# The parser takes the cube of a key's parts to read it, and no key of ours has half as many.
_PART = r"(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
_LONG_KEY = rf"(?a)(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{16}}"
_MEND = "fix the file, then run the command again"


def read_raw(path: str) -> bytes:
    """Return the bytes of a file of settings; none where there is no file.

    Raises UsageError, with the path, for what is no file or too large, and OSError.
    """
    try:
        return read_file(path, _LARGEST)[0]
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except NotReadable as error:
        raise UsageError(f"{one_line(path)}: {error.what}", error.fix) from None


def read_toml(path: str) -> dict[str, object]:
    """Return what the file at `path` says; nothing where there is no file.

    Raises UsageError, with the path, for a file that can't be read.
    """
    try:
        return parse(read_raw(path), path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{one_line(path)}: can't be read: {reason}", _MEND) from None


def parse(raw: bytes, path: str) -> dict[str, object]:
    """Return what TOML says; `path` is for the UsageError that it raises for what is none."""
    if not raw:
        return {}
    import re
    import tomllib

    try:
        text = raw.decode("utf-8")
        long = re.search(_LONG_KEY, text)
        if long is not None:
            line = text.count("\n", 0, long.start()) + 1
            raise UsageError(f"{one_line(path)}:{line}: a key of too many parts", _MEND)
        return tomllib.loads(text)
    except UnicodeDecodeError:
        raise UsageError(f"{one_line(path)}: not UTF-8", "convert the file to UTF-8") from None
    except RecursionError:
        raise UsageError(f"{one_line(path)}: nested too deep", _MEND) from None
    except ValueError as error:
        raise UsageError(f"{one_line(path)}: {one_line(error)}", _MEND) from None
