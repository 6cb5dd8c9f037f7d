"""How a service says no. Public surface: ``Refused``, ``Conflict``, ``NotPermitted``."""

from __future__ import annotations

from collections.abc import Callable


class Refused(Exception):
    """The request breaks a rule; nothing was stored. The message names the rule, in words for the person asking.

    ``field`` is the input at fault, as the caller spelled it ('' = the request as a whole).
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Conflict(Refused):
    """Somebody else was faster, or the state is not the one that the caller saw. Reload and decide again."""


class NotPermitted(Refused):
    """The team's data agreement says no, which is audited though nothing happens.

    The transaction that is refused can not keep the record: whoever ends it calls ``record``.
    """

    def __init__(self, message: str, *, field: str, record: Callable[[], None]) -> None:
        super().__init__(message, field=field)
        self.record = record
