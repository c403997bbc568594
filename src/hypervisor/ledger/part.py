"""A part of the ledger, made when it is first asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import cached_property as part
else:

    class part:
        """`functools.cached_property`, without the packages that it loads; with a shared store the
        verbs of the part are patient."""

        def __init__(self, make):
            self._make = make

        def __get__(self, ledger, owner):
            if ledger is None:
                return self
            made = self._make(ledger)
            if ledger.store.is_shared:
                from hypervisor.ledger.shared import make_patient

                make_patient(made, ledger.store.engine)
            # From now on it is found before this descriptor is.
            ledger.__dict__[self._make.__name__] = made
            return made


__all__ = ["part"]
