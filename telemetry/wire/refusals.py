"""Why a request is not taken.

Refused
├── Malformed    it is not what it says it is; sending it again changes nothing
├── TooLarge     it is beyond a limit once it is unpacked
└── IntakeFull   more is waiting than may wait: try again after `retry_after_s`
"""

from __future__ import annotations


class Refused(Exception):
    """`str` of it is for the sender."""


class Malformed(Refused):
    pass


class TooLarge(Refused):
    pass


class IntakeFull(Refused):
    retry_after_s = 1


class Unfit(Exception):
    """One row of a request cannot be kept; the others can. `str` of it ends the sentence "... because"."""
