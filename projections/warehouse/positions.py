"""Tracked positions by name, for followers other than the engine (such as notifications of another
application).

They are stored next to the views, and lost with the file; then their followers start again, like the views.
"""

from __future__ import annotations

from projections.warehouse.errors import PositionNotAhead
from projections.warehouse.instance import Warehouse
from projections.warehouse.transaction import Transaction, Writes

_TABLE = """CREATE TABLE IF NOT EXISTS views.main.positions (
    name VARCHAR NOT NULL, position BIGINT NOT NULL)"""


class Positions:
    """One row per name, in the views' file. Thread-safe."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        with warehouse.write() as transaction:
            transaction.run(_TABLE)

    def insert_position(self, name: str, position: int) -> None:
        """Records `position`. Raises PositionNotAhead unless it is greater than the recorded one."""
        with self._warehouse.write() as transaction:
            recorded = _recorded(transaction, name)
            if recorded is None:
                transaction.run("INSERT INTO views.main.positions VALUES (?, ?)", [name, position])
            elif position > recorded:
                transaction.run(
                    "UPDATE views.main.positions SET position = ? WHERE name = ?", [position, name]
                )
            else:
                raise PositionNotAhead(name, position)

    def max_position(self, name: str) -> int | None:
        """The recorded position, or None."""
        with self._warehouse.write() as transaction:
            return _recorded(transaction, name)


def carry_positions(source: Writes, target: Writes) -> None:
    """Copies the recorded positions to the file that replaces the views' file."""
    with source.write() as transaction:
        transaction.run(_TABLE)
        rows = transaction.rows("SELECT name, position FROM views.main.positions")
    with target.write() as transaction:
        transaction.run(_TABLE)
        transaction.run("DELETE FROM views.main.positions")
        for row in rows:
            transaction.run("INSERT INTO views.main.positions VALUES (?, ?)", row)


def _recorded(transaction: Transaction, name: str) -> int | None:
    # After the file was lost and recreated, the table does not exist until the first write.
    transaction.run(_TABLE)
    rows = transaction.rows("SELECT position FROM views.main.positions WHERE name = ?", [name])
    return int(rows[0][0]) if rows else None
