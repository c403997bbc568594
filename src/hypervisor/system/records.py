"""Types that are a list of named values, without the libraries of it.

`typing` and `dataclasses` each take as long as the start of Python, which `next` and `done` would
pay for every item.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Self, dataclass_transform

    __all__ = ["NamedTuple", "Record"]
else:
    from _operator import itemgetter

    class NamedTuple(tuple):
        """A tuple whose values have names, as that of `typing`."""

        __slots__ = ()
        _fields = ()

        def __init_subclass__(cls) -> None:
            names = tuple(cls.__annotations__)
            if not names:
                return
            cls._fields = names
            cls._defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
            for place, name in enumerate(names):
                setattr(cls, name, property(itemgetter(place)))

        def __new__(cls, *values: Any, **named: Any) -> Self:
            if len(values) < len(cls._fields):
                values += tuple(_rest(cls, cls._fields[len(values) :], named))
            if named or len(values) > len(cls._fields):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
            return tuple.__new__(cls, values)

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
            return f"{type(self).__name__}({shown})"

        def _replace(self, **named: Any) -> Self:
            values = [named.pop(name, getattr(self, name)) for name in self._fields]
            return type(self)(*values, **named)

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

    def _rest(cls: type, names: tuple[str, ...], named: dict[str, Any]) -> Any:
        for name in names:
            if name in named:
                yield named.pop(name)
            elif name in cls._defaults:
                yield cls._defaults[name]
            else:
                raise TypeError(f"{cls.__name__} lacks {name}")

    def dataclass_transform(**_: Any) -> Any:
        return lambda cls: cls


@dataclass_transform()
class Record:
    """Values by name, given by place or by name; what the class itself has is the default.

    Two are equal if all values are, but for those that `aside` names.
    """

    aside = frozenset[str]()

    def __init__(self, *values: Any, **named: Any) -> None:
        names = [name for name in type(self).__annotations__ if not name.startswith("__")]
        told = dict(zip(names, values, strict=False)) | named
        odd = told.keys() - names or [name for name in names if not self._has(told, name)]
        if odd or len(values) > len(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
        self.__dict__.update(told)

    def but(self, **named: Any) -> Self:
        """Return the same with other values for these names."""
        return type(self)(**(vars(self) | named))

    def _has(self, told: dict[str, Any], name: str) -> bool:
        return name in told or hasattr(type(self), name)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = vars(self), vars(other)
        return all(mine[name] == theirs[name] for name in mine if name not in self.aside)
