"""Writes the hashes of every pin, and the keys of the environments: python tools/pins.py

Run it after any change of a `requirements*.txt` or of `__version__`. A pin is written by hand as
`name==version` (with a marker, if need be); below it come the hashes of all its wheels, for every
Python and platform, as the index tells them to uv. The first lines of the files whose environments
the launcher finds by key get their keys.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([0-9][^\s;\\]*)(\s*;[^\\]+?)?\s*\\?\s*")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def main() -> None:
    """Rewrite every file of pins whose hashes or key are not as they should be."""
    files = sorted(REPO.glob("requirements*.txt"))
    texts = {path: by_hand(path.read_text(encoding="utf-8")) for path in files}
    hashes = looked_up({line for lines in texts.values() for line in lines if _PIN.fullmatch(line)})
    for path, lines in texts.items():
        rest = "".join(f"{written(line, hashes)}\n" for line in lines[1:])
        first = lines[0]
        key = key_of(path, rest)
        if key:
            first = f"{first.rpartition(' ')[0]} {key}"
        text = f"{first}\n{rest}"
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            print(f"{path.name}: written")


def by_hand(text: str) -> list[str]:
    """Return the lines of a file of pins without the hashes."""
    lines = [line for line in text.splitlines() if not _HASH.search(line)]
    return [line.removesuffix("\\").rstrip() for line in lines]


def looked_up(pins: set[str]) -> dict[str, list[str]]:
    """Return the hashes of the wheels of each pin, by its name and version."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("tools/pins.py: no uv on PATH; run it in the environment of tests/run")
    exact = sorted({_told(line) for line in pins})
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder, "pins.in")
        asked.write_text("".join(f"{pin}\n" for pin in exact), encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--no-deps", "--generate-hashes",
                   "--no-build", "--no-header", "--no-annotate", "--no-config",
                   "--python-version", "3.11", str(asked)]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"tools/pins.py: {done.stderr.strip()}")
    found: dict[str, list[str]] = {}
    name = ""
    for line in done.stdout.splitlines():
        told = _PIN.match(line)
        if told and not line.startswith(" "):
            name = _told(line)
            found[name] = []
        found.get(name, []).extend(_HASH.findall(line))
    missing = [pin for pin in exact if not found.get(pin)]
    if missing:
        sys.exit(f"tools/pins.py: no wheel of {', '.join(missing)}")
    return found


def written(line: str, hashes: dict[str, list[str]]) -> str:
    """Return a line as it stands in the file, its hashes below it."""
    if not _PIN.fullmatch(line):
        return line
    return " \\\n    ".join([line, *(f"--hash={one}" for one in sorted(hashes[_told(line)]))])


def key_of(path: Path, rest: str) -> str | None:
    """Return what the first line of a file of pins ends in, None if the launcher reads it not."""
    digest = hashlib.sha256(rest.encode()).hexdigest()[:12]
    if path.name == "requirements.txt":
        source = (REPO / "src/hypervisor/__init__.py").read_text(encoding="utf-8")
        (version,) = re.findall(r'__version__ = "(.+)"', source)
        return f"{version}-{digest}"
    with open(REPO / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    extra = path.stem.removeprefix("requirements-")
    return f"{extra}-{digest}" if extra in extras else None


def _told(line: str) -> str:
    """Return a pin without its marker, its name as indexes write it."""
    name, version = _PIN.match(line).group(1, 2)  # type: ignore[union-attr]
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


if __name__ == "__main__":
    main()
