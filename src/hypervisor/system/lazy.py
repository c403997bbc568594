"""Modules that are loaded when they are asked for: most commands and hooks do with a few."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType


def by_name(module: str) -> ModuleType:
    """Return the module of this name, as `importlib.import_module`, which loads more than most
    verbs need."""
    found: ModuleType = __import__(module, fromlist=["_"])
    return found


def face(package: str, parts: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package, given the module in it that holds each name; a
    module stands for itself."""

    def look_up(name: str) -> object:
        if name not in parts:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = __import__(f"{package}.{parts[name]}", fromlist=[name])
        return module if parts[name] == name else getattr(module, name)

    return look_up


def all_modules(but: str) -> Iterator[str]:
    """Import what is left of the program, one module after the other, and yield its name: who runs
    for long goes on when the program is replaced. The package `but`, and what lacks its libraries,
    is passed over."""
    import pkgutil

    name = __package__.partition(".")[0]
    for found in pkgutil.walk_packages(by_name(name).__path__, f"{name}.", onerror=lambda _: None):
        try:
            if not found.name.startswith(but):
                by_name(found.name)
        except ImportError:
            continue
        yield found.name
