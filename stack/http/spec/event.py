"""Description of the events of the log."""

from __future__ import annotations

from schemas.api.event import LogEvent, LogEventPage
from stack.http.spec.operation import LAST_EVENT_ID, Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1alpha/events",
            id="list_events",
            tag=tag,
            summary="Read the event log, in pages or as a stream.",
            description="A page of the events after a position. With `follow=true` they are server-sent events whose ids are "
            "their positions, and the stream continues with what is recorded: `Last-Event-ID` resumes it exactly.",
            parameters=(
                Parameter(
                    name="after",
                    kind=str,
                    description="Only events after this position; 0, the beginning, where absent. `end` is the end of the "
                    "log.",
                ),
                Parameter(
                    name="limit", kind=int, description="How many to return, 1 to 10000; 1000 where absent."
                ),
                Parameter(
                    name="stream",
                    kind=str,
                    description="Only events of this stream, such as session/<id>, or of this category, such as session.",
                ),
                Parameter(
                    name="name",
                    kind=list[str],
                    description="Only events of these names, such as turn.completed or turn.*, as a repeated parameter.",
                ),
                Parameter(name="follow", kind=bool, description="Whether to stream; false where absent."),
                LAST_EVENT_ID,
            ),
            answer=LogEventPage,
            frames=LogEvent,
            says="The events.",
        ),
    )
