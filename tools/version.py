"""Raises the version wherever it stands: python tools/version.py 1.2.3

What changed since the last one gets it as its heading in CHANGELOG.md. Then commit, and tag it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# Where it stands, each with what is around it.
PLACES = (
    ("src/hypervisor/__init__.py", '__version__ = "{}"'),
    (".claude-plugin/plugin.json", '"version": "{}"'),
    ("task-manager/.claude-plugin/plugin.json", '"version": "{}"'),
    ("gemini/gemini-extension.json", '"version": "{}"'),
    ("requirements.txt", "Environment key: {}-"),
    ("docs/tutorial.md", "/.cache/hypervisor/{}-"),
    ("docs/tutorial.md", "\nhypervisor {}\n"),
    ("docs/how-to/many-machines.md", "\nhypervisor {}\n"),
)
_VERSION = r"\d+\.\d+\.\d+"


def found(root: Path) -> set[str]:
    """Return the versions that stand in the places below `root`; "" for a place without one."""
    told = set()
    for name, around in PLACES:
        pattern = re.escape(around).replace(r"\{\}", f"({_VERSION})")
        told |= set(re.findall(pattern, (root / name).read_text(encoding="utf-8"))) or {""}
    return told


def raise_to(root: Path, version: str) -> None:
    """Have `version` stand in every place below `root`."""
    [old] = found(root)
    for name, around in PLACES:
        swap(root / name, around.format(old), around.format(version))
    swap(root / "CHANGELOG.md", "\n## Unreleased\n", f"\n## {version}\n")


def swap(path: Path, old: str, new: str) -> None:
    """Write `new` for `old` in the file at `path`."""
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(_VERSION, sys.argv[1]):
        sys.exit("name the version: python tools/version.py 1.2.3")
    raise_to(REPO, sys.argv[1])
