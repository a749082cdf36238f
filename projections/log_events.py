"""The events of the log that no other read model has as they are, and what is left of events whose content is gone."""

from __future__ import annotations

from projections.warehouse.plan import ReadModel

# After the turns, and before the sessions: those of a deleted session are still there when their content is dropped here.
READ_MODEL = ReadModel(
    name="log_events",
    tables=("log_events",),
    apply=("log_events", "log_events_erased", "log_events_of_jobs_erased", "log_events_of_turns_erased"),
)
