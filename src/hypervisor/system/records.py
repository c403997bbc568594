"""Types that are a list of named values, without the libraries of it.

`typing` and `dataclasses` each take as long as the start of Python, which `next` and `done` would
pay for every item.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Self, dataclass_transform

    __all__ = ["NamedTuple", "Record"]
else:
    from _collections import _tuplegetter

    class _Kind(type):
        def __new__(kind, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            if bases[0] is not tuple and not fields:
                # A name of its own for the same values.
                return type.__new__(kind, name, bases, body | {"__slots__": ()})
            defaults = {field: body[field] for field in fields if field in body}
            body |= {field: _tuplegetter(at, None) for at, field in enumerate(fields)}
            body |= {"__slots__": (), "_fields": fields, "_field_defaults": defaults}
            body["_last"] = tuple(defaults.values())
            return type.__new__(kind, name, bases, body)

    class NamedTuple(tuple, metaclass=_Kind):
        """A tuple whose values are attributes, too, in the order in which a class declares them."""

        def __new__(kind, /, *values, **named):
            missing = len(kind._fields) - len(values)
            if not named and not missing:
                return tuple.__new__(kind, values)
            if not named and 0 <= missing <= len(kind._last):
                return tuple.__new__(kind, values + kind._last[len(kind._last) - missing :])
            given = kind._field_defaults | dict(zip(kind._fields, values, strict=False)) | named
            if len(values) > len(kind._fields) or given.keys() != set(kind._fields):
                raise TypeError(f"{kind.__name__} takes {', '.join(kind._fields)}")
            return tuple.__new__(kind, [given[field] for field in kind._fields])

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            told = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({told})"

        @classmethod
        def _make(kind, values):
            """Return the record of these values, in order."""
            made = tuple.__new__(kind, values)
            if len(made) != len(kind._fields):
                raise TypeError(f"{kind.__name__} has {len(kind._fields)} values, not {len(made)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, /, **changes):
            changed = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise TypeError(f"{type(self).__name__} has no {', '.join(changes)}")
            return changed

    def dataclass_transform():
        return lambda cls: cls


@dataclass_transform()
class Record:
    """Values by name, given by place or by name; what the class itself has is the default.

    Two are equal if all values are, but for those that `aside` names.
    """

    aside = frozenset[str]()
    _names = tuple[str, ...]()
    _known = _needed = frozenset[str]()

    def __init_subclass__(cls) -> None:
        cls._names = tuple(name for name in cls.__annotations__ if not name.startswith("__"))
        cls._known = frozenset(cls._names)
        cls._needed = frozenset(name for name in cls._names if not hasattr(cls, name))

    def __init__(self, *values: object, **named: object) -> None:
        told = dict(zip(self._names, values, strict=False)) | named if values else named
        if not self._needed <= told.keys() <= self._known or len(values) > len(self._names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._names)}")
        self.__dict__.update(told)

    def but(self, **named: object) -> Self:
        """Return the same with other values for these names."""
        return type(self)(**(vars(self) | named))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = vars(self), vars(other)
        return all(mine[name] == theirs[name] for name in mine if name not in self.aside)
