"""The status that a change of a job leads to, of evaluation and of training."""

from __future__ import annotations

from schemas.api.evaljob import JobStatus

STATUS: dict[str, JobStatus] = {
    "scheduled": "scheduled",
    "started": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
ENDS = frozenset(("completed", "failed", "cancelled"))
