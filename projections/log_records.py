"""Log records that others send: kept, and there in SQL."""

from __future__ import annotations

from projections.plan import ReadModel

READ_MODEL = ReadModel(name="log_records", tables=("log_records",), views=("logs",))
