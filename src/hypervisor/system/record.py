"""Frozen records whose values have names: `typing.NamedTuple`, without what it loads."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from _collections import _tuplegetter

    class _Kind(type):
        def __new__(kind, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body[field] for field in fields if field in body}
            body |= {field: _tuplegetter(at, None) for at, field in enumerate(fields)}
            body |= {"__slots__": (), "_fields": fields, "_field_defaults": defaults}
            return type.__new__(kind, name, bases, body)

    class Record(tuple, metaclass=_Kind):
        """A tuple whose values are attributes, too, in the order in which a class declares them."""

        def __new__(kind, *values, **named):
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

        def _replace(self, **changes):
            return type(self)(**(self._asdict() | changes))


__all__ = ["Record"]
