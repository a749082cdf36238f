"""Why a request is rejected.

Refused
├── Malformed    the content is invalid; sending it again does not help
├── TooLarge     it exceeds a limit after decompression
└── IntakeFull   too many requests are waiting: try again after `retry_after_s`
"""

from __future__ import annotations


class Refused(Exception):
    """The text is intended for the sender."""


class Malformed(Refused):
    pass


class TooLarge(Refused):
    pass


class IntakeFull(Refused):
    retry_after_s = 1


class Unfit(Exception):
    """One row of a request cannot be stored; the others can. The text completes the sentence "...
    because"."""
