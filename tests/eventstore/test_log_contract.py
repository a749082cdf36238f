"""The SQLite log passes the contract of every event log."""

from __future__ import annotations

import pytest

from tests.eventstore.log_contract import LogContract


@pytest.mark.anyio
class TestSqliteLog(LogContract):
    pass
