"""Training jobs: their status, progress and checkpoints."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from projections.job_status import ENDS, STATUS
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, Reader, Row, rfc3339
from schemas.api.error import Error
from schemas.api.evaljob import JobStatus
from schemas.api.trainjob import (
    Checkpoint,
    PostTrainingJob,
    PostTrainingJobArtifactsResponse,
    PostTrainingJobStatusResponse,
    PostTrainingMetric,
    TrainJobOutcome,
)
from schemas.events.payload import TrainingAlgorithm, TrainingConfig, TurnError
from schemas.events.trainjob import RowSource

READ_MODEL = ReadModel(
    name="trainjob",
    tables=("trainjob_changes", "trainjob_steps", "trainjob_epochs", "trainjob_checkpoints"),
    indexes=(
        "trainjob_changes_by_job",
        "trainjob_steps_by_job",
        "trainjob_epochs_by_job",
        "trainjob_checkpoints_by_job",
    ),
    apply=("trainjob_changes", "trainjob_steps", "trainjob_epochs", "trainjob_checkpoints"),
    queries=(
        "open_trainjobs",
        "trainjob_changes_of_job",
        "trainjob_checkpoint_by_id",
        "trainjob_checkpoints_of_job",
        "trainjob_progress",
        "trainjobs_page",
    ),
)


class _Scheduled(Struct, frozen=True):
    model: str
    config: TrainingConfig
    algorithm: TrainingAlgorithm
    rows: RowSource
    output: str


class _Prepared(Struct, frozen=True):
    total_steps: int
    resources: dict[str, Any] = {}


class _Ended(Struct, frozen=True):
    error: TurnError | None = None


_scheduled = Decoder(_Scheduled)
_prepared = Decoder(_Prepared)
_ended = Decoder(_Ended)


class _Changes(Struct, frozen=True, kw_only=True):
    """The changes of a job, folded. Times are microseconds since 1970, 0 if not reached yet."""

    scheduled: _Scheduled
    status: JobStatus
    scheduled_us: int
    started_us: int = 0
    ended_us: int = 0
    prepared: _Prepared | None = None
    error: TurnError | None = None


def status(reader: Reader, job_uuid: str, as_of: int | None = None) -> PostTrainingJobStatusResponse | None:
    """Returns the job as it stands, or None if it is unknown. `as_of` is a position of the log (None: now)."""
    changes = _changes(reader, job_uuid, as_of)
    if changes is None:
        return None
    return PostTrainingJobStatusResponse(
        job_uuid=job_uuid,
        status=changes.status,
        scheduled_at=rfc3339(changes.scheduled_us),
        started_at=rfc3339(changes.started_us) if changes.started_us else None,
        completed_at=rfc3339(changes.ended_us) if changes.ended_us else None,
        resources_allocated=changes.prepared.resources if changes.prepared is not None else None,
        checkpoints=_checkpoints(reader, job_uuid, as_of),
    )


def artifacts(
    reader: Reader, job_uuid: str, as_of: int | None = None
) -> PostTrainingJobArtifactsResponse | None:
    """Returns the checkpoints of the job, or None if it is unknown."""
    if _changes(reader, job_uuid, as_of) is None:
        return None
    return PostTrainingJobArtifactsResponse(job_uuid, _checkpoints(reader, job_uuid, as_of))


def outcome(reader: Reader, job_uuid: str, as_of: int | None = None) -> TrainJobOutcome | None:
    """Returns the status of the job, or how it ended; None if it is unknown."""
    changes = _changes(reader, job_uuid, as_of)
    if changes is None:
        return None
    [(step, epochs_done, train_loss, validation_loss)] = reader.read(
        "trainjob_progress", {"job_uuid": job_uuid, "as_of": NOW if as_of is None else as_of}
    )
    error, scheduled = changes.error, changes.scheduled
    return TrainJobOutcome(
        job_uuid=job_uuid,
        status=changes.status,
        model=scheduled.model,
        algorithm=scheduled.algorithm.type,
        dataset_id=scheduled.rows.dataset_id,
        dataset_version=scheduled.rows.version,
        epochs=scheduled.config.n_epochs,
        epochs_done=epochs_done,
        step=step or 0,
        total_steps=changes.prepared.total_steps if changes.prepared is not None else None,
        train_loss=train_loss,
        validation_loss=validation_loss,
        error=Error(error.status, error.title, error.detail) if error else None,
        checkpoint_dir=scheduled.output,
        created_at=rfc3339(changes.scheduled_us),
        completed_at=rfc3339(changes.ended_us) if changes.ended_us else None,
    )


def listing(reader: Reader, as_of: int | None = None) -> list[PostTrainingJob]:
    """Returns all jobs, oldest first."""
    rows = reader.read(
        "trainjobs_page",
        {"start_index": 0, "row_count": NOW, "after": -1, "as_of": NOW if as_of is None else as_of},
    )
    return [PostTrainingJob(job_uuid) for job_uuid, _ in rows]


def open_jobs(reader: Reader) -> list[str]:
    """Returns the id of each job that has not ended, oldest first. Scans all jobs: use it at startup only."""
    return [job_uuid for [job_uuid] in reader.read("open_trainjobs", {})]


def checkpoint(reader: Reader, identifier: str) -> tuple[str, str] | None:
    """Returns path and kind of the checkpoint with this name, or None if there never was one."""
    for path, kind, _ in reader.read("trainjob_checkpoint_by_id", {"identifier": identifier}):
        return path, kind
    return None


def _changes(reader: Reader, job_uuid: str, as_of: int | None) -> _Changes | None:
    rows = reader.read(
        "trainjob_changes_of_job", {"job_uuid": job_uuid, "as_of": NOW if as_of is None else as_of}
    )
    if not rows or rows[0][0] != "scheduled":
        return None
    found: dict[str, Any] = {"status": "scheduled"}
    for change, at_us, event, _ in rows:
        found["status"] = STATUS.get(change, found["status"])
        match change:
            case "scheduled":
                found |= {"scheduled": _decoded(reader, _scheduled, event), "scheduled_us": at_us}
            case "started":
                found.setdefault("started_us", at_us)
            case "prepared":
                found["prepared"] = _decoded(reader, _prepared, event)
        if change in ENDS:
            found |= {"ended_us": at_us, "error": _decoded(reader, _ended, event).error}
    return _Changes(**found)


def _decoded(reader: Reader, decoder: Decoder[Any], event: str) -> Any:
    return decoder.decode(reader.hydrate(event.encode()))


def _checkpoints(reader: Reader, job_uuid: str, as_of: int | None) -> list[Checkpoint]:
    rows = reader.read(
        "trainjob_checkpoints_of_job", {"job_uuid": job_uuid, "as_of": NOW if as_of is None else as_of}
    )
    return [_checkpoint(job_uuid, row) for row in rows]


def _checkpoint(job_uuid: str, row: Row) -> Checkpoint:
    identifier, at_us, epoch, path, train_loss, validation_loss, perplexity = row
    measured = train_loss is not None and validation_loss is not None and perplexity is not None
    return Checkpoint(
        identifier=identifier,
        created_at=rfc3339(at_us),
        epoch=epoch,
        post_training_job_id=job_uuid,
        path=path,
        training_metrics=PostTrainingMetric(epoch, train_loss, validation_loss, perplexity)
        if measured
        else None,
    )
