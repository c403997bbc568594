"""Faces of rooms whose parts are loaded when they are asked for: hooks do with a few of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def face(package: str, parts: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package, given the module in it that holds each name; a
    module stands for itself."""

    def look_up(name: str) -> object:
        if name not in parts:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = __import__(f"{package}.{parts[name]}", fromlist=[name])
        return module if parts[name] == name else getattr(module, name)

    return look_up
