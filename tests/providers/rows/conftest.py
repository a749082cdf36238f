"""Each test of rows begins without worker processes."""

from __future__ import annotations

import pytest

from tests.providers.rows.children import begin


@pytest.fixture(autouse=True)
def no_workers_yet() -> None:
    begin()
