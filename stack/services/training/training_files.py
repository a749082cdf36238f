"""The folders of training jobs in the data folder: the rows of a running job and what it needs to continue,
which are removed after its end, and the checkpoints, which stay."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

import msgspec

from schemas.events.trainjob import RowSource
from stack.domain.trainjob import TrainJobState
from stack.providers.training.protocol import Job
from stack.services.datasets.dataset import DatasetService

_PLAIN = re.compile(r"(?!job\.)[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class TrainingFiles:
    """`folder` is the data folder."""

    def __init__(self, folder: Path, datasets: DatasetService, alive_s: float) -> None:
        self._work = folder / "training"
        self._datasets = datasets
        self._alive_s = alive_s
        self.checkpoints = folder / "checkpoints"

    def output_of(self, job_uuid: str) -> Path:
        """Returns the folder for the checkpoints of a job that names none."""
        return self.checkpoints / folder_name(job_uuid)

    async def describe(self, job_uuid: str, state: TrainJobState) -> tuple[Path, Job]:
        """Writes the rows of a job, in the version with which it was scheduled, and its description. Returns
        the file of the latter, and the description. Raises OSError; NotFound if a dataset was
        unregistered."""
        scheduled = state.scheduled
        assert scheduled is not None
        work = self._work / folder_name(job_uuid)
        await asyncio.to_thread(self._make_folders, work, Path(scheduled.output))
        rows = await self._rows(work / "rows.jsonl", scheduled.rows)
        validation = ""
        if scheduled.validation is not None:
            validation = await self._rows(work / "validation.jsonl", scheduled.validation)
        job = Job(
            job_uuid=job_uuid,
            base=scheduled.base,
            on_hub=not scheduled.base.startswith("/"),
            rows=rows,
            validation_rows=validation,
            config=scheduled.config,
            algorithm=scheduled.algorithm,
            output=scheduled.output,
            work=str(work),
            state=str(work / "state"),
            seed=scheduled.seed,
            epochs_done=state.epochs_done,
            steps_done=state.steps_done,
            alive_s=self._alive_s,
        )
        file = work / "job.json"
        await asyncio.to_thread(file.write_bytes, msgspec.json.encode(job))
        return file, job

    def _make_folders(self, work: Path, output: Path) -> None:
        (work / "state").mkdir(parents=True, exist_ok=True)
        output.mkdir(parents=True, exist_ok=True)

    async def _rows(self, file: Path, source: RowSource) -> str:
        """Writes the rows of one dataset. A whole file has its final name."""
        if await asyncio.to_thread(file.is_file):
            return str(file)
        part = file.with_suffix(".part")
        with await asyncio.to_thread(part.open, "wb") as opened:
            pieces = self._datasets.pieces(source.dataset_id, source.version, 0, source.row_count)
            async with aclosing(pieces):
                async for piece in pieces:
                    await asyncio.to_thread(opened.write, b"".join(row + b"\n" for row in piece))
        await asyncio.to_thread(os.replace, part, file)
        return str(file)

    async def discard(self, job_uuid: str) -> None:
        """Removes what a job needed only while it ran."""
        await asyncio.to_thread(shutil.rmtree, self._work / folder_name(job_uuid), ignore_errors=True)

    async def sweep(self, open_jobs: Iterable[str]) -> None:
        """Removes the same of jobs that ended when the last process ended."""
        kept = {folder_name(job_uuid) for job_uuid in open_jobs}
        await asyncio.to_thread(self._sweep, kept)

    def _sweep(self, kept: set[str]) -> None:
        if self._work.is_dir():
            for entry in list(os.scandir(self._work)):
                if entry.name not in kept:
                    shutil.rmtree(entry.path, ignore_errors=True)


def folder_name(job_uuid: str) -> str:
    """Returns the name of a job's folder: its id, if that is a plain file name."""
    if _PLAIN.fullmatch(job_uuid):
        return job_uuid
    return f"job.{hashlib.sha256(job_uuid.encode()).hexdigest()[:32]}"
