"""Description of recorded sessions: found by their id, exported to files and imported from them."""

from __future__ import annotations

from schemas.api.session_check import Report
from schemas.api.session_file import FoundSession, ImportedSession, RedactionRules
from stack.http.spec.operation import AS_OF, LINES, Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1alpha/sessions/{session_id}",
            id="find_session",
            tag=tag,
            summary="Find a session by its id alone: its agent and its name.",
            parameters=(AS_OF,),
            answer=FoundSession,
            says="The session, without its turns.",
        ),
        Operation(
            method="get",
            path="/v1alpha/agents/{agent_id}/session/{session_id}/export",
            id="export_session",
            tag=tag,
            summary="Export a session as a file of JSON lines.",
            description="All events of the session, from which it can be shown, imported and run again. See "
            "docs/session_files.md.",
            parameters=(
                Parameter(
                    name="as",
                    kind=str,
                    description="The form of the file, see docs/formats.md; `session` where absent.",
                ),
            ),
            answer=str,
            answer_type=LINES,
            says="The lines of the file. A last line with `line: error` says that the export failed.",
        ),
        Operation(
            method="post",
            path="/v1alpha/agents/{agent_id}/session/{session_id}/export",
            id="export_redacted_session",
            tag=tag,
            summary="Export a session with values replaced by placeholders.",
            description="The session itself is not changed. The same value gets the same placeholder, such as `[email:1]`. "
            "See docs/session_files.md.",
            parameters=(
                Parameter(
                    name="as",
                    kind=str,
                    description="The form of the file, see docs/formats.md; `session` where absent.",
                ),
            ),
            body=RedactionRules,
            answer=str,
            answer_type=LINES,
            says="The lines of the file.",
        ),
        Operation(
            method="get",
            path="/v1alpha/agents/{agent_id}/session/{session_id}/check",
            id="check_session",
            tag=tag,
            summary="Run a session again with what was recorded, and compare.",
            description="No model, tool or shield is asked. An unchanged session is identical. See docs/checks.md.",
            answer=Report,
            says="The verdict, and the first event of each turn that differs.",
        ),
        Operation(
            method="post",
            path="/v1alpha/sessions/import",
            id="import_session",
            tag=tag,
            summary="Import a session from a file.",
            description="Its events keep their ids and times. All of it is imported, or nothing; nothing is run.",
            parameters=(
                Parameter(
                    name="from",
                    kind=str,
                    description="The form of the file, see docs/formats.md; `session` where absent.",
                ),
                Parameter(name="name", kind=str, description="The session's name here, instead of its own."),
                Parameter(
                    name="agent_id",
                    kind=str,
                    description="An agent of this server to which the session will belong, instead of its own.",
                ),
            ),
            body=str,
            body_type=LINES,
            answer=ImportedSession,
            says="The imported session.",
        ),
    )
