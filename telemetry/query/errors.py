"""Errors of queries."""

from __future__ import annotations


class QueryInvalid(Exception):
    """`detail` names the field of the request, the problem and the remedy."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
