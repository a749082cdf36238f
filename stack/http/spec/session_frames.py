"""Description of the playback of sessions."""

from __future__ import annotations

from schemas.api.session_frames import SessionFramesPage
from schemas.api.turn import AgentTurnResponseStreamChunk
from stack.http.spec.operation import LAST_EVENT_ID, Operation, Parameter

_SESSION = "/v1alpha/agents/{agent_id}/session/{session_id}"
_AFTER = Parameter(
    name="after",
    kind=str,
    description="Continue after this frame, `<turn>.<id in the turn>`, such as 2.3.17; from the beginning where absent.",
)


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path=_SESSION + "/frames",
            id="get_session_frames",
            tag=tag,
            summary="Read the frames of all turns of a session, with their times.",
            description="A row is `[turn, at_ms, id, frame]`: the number of the turn, counted from 1, the milliseconds "
            "since the start of the turn, the id of the frame in the stream of the turn, and its data, unchanged. A page "
            "has about `max_page_bytes`; `next` is the `after` of the next one, also for a turn that runs.",
            parameters=(_AFTER,),
            answer=SessionFramesPage,
            says="The frames.",
        ),
        Operation(
            method="get",
            path=_SESSION + "/stream",
            id="play_session",
            tag=tag,
            summary="Play a session: all of its turns as they were streamed, then the one that runs.",
            description="The data of the frames is unchanged. Their ids are `<turn>.<id in the turn>`.",
            parameters=(
                Parameter(
                    name="speed",
                    kind=float,
                    description="1 plays at the recorded pace, 10 at ten times that, 0.01 is the slowest; 0, the default, "
                    "and `max` do not wait.",
                ),
                Parameter(
                    name="max_pause_s",
                    kind=float,
                    description="The longest pause between turns, and while a turn waited for input, in seconds as it is "
                    "played; 2 where absent. `all` keeps every pause.",
                ),
                _AFTER,
                LAST_EVENT_ID,
            ),
            frames=AgentTurnResponseStreamChunk,
            says="The frames.",
        ),
    )
