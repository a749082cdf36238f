"""Checks that this machine can do a training job: otherwise it is refused before it exists, with the remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from projections import trainjob as trainjob_views
from schemas.events.payload import TrainingAlgorithm, TrainingConfig
from schemas.events.trainjob import RowSource, TrainJobScheduled
from stack.errors import Invalid, NotFound
from stack.providers.training.interpreter import Environment
from stack.providers.training.model_folder import ModelRefused, open_folder, undivided_layers
from stack.providers.training.model_roots import Folders
from stack.providers.training.refusals import Capabilities, refusals
from stack.providers.training.row_form import RowRefused, check
from stack.services.datasets.dataset import DatasetService
from stack.services.views import Views

CHECKED_ROWS = 1_000
"""How many rows are looked at before a job is scheduled; the worker gets all, and the job fails at a wrong one."""
CHECKED_BYTES = 8 * 2**20


def check_possible(config: TrainingConfig, algorithm: TrainingAlgorithm, found: Environment) -> None:
    """Raises Invalid for what cannot be trained, or not on this machine."""
    refused = list(refusals(config, algorithm, Capabilities(accelerators=found.accelerators)))
    if refused:
        raise Invalid(f"{'; '.join(refused)}.")


class Sources:
    """Finds the rows and the base model of a job."""

    def __init__(self, datasets: DatasetService, views: Views, folders: Folders) -> None:
        self._datasets = datasets
        self._views = views
        self._folders = folders

    async def rows(self, dataset_id: str, field: str) -> RowSource:
        """Returns the rows of a dataset as they are now. Raises Invalid for an unknown or empty one."""
        where = f"training_config.data_config.{field}"
        try:
            version, row_count = await self._datasets.version(dataset_id)
        except NotFound as error:
            raise Invalid(f"{where}: {error.detail} Register it first.") from None
        if not row_count:
            raise Invalid(f"{where}: dataset {dataset_id!r} has no rows; append some first.")
        return RowSource(dataset_id, version, row_count)

    async def check_rows(self, scheduled: TrainJobScheduled) -> None:
        """Looks at the first rows. Raises Invalid for columns that cannot be trained."""
        for source in (scheduled.rows, scheduled.validation):
            if source is not None:
                rows = await self._datasets.rows(
                    source.dataset_id, source.version, 0, CHECKED_ROWS, CHECKED_BYTES
                )
                await asyncio.to_thread(_check_rows, rows, scheduled, source.dataset_id)

    async def base(self, model: str, field: str, group_size: int) -> str:
        """Returns the folder of a base model: of the checkpoint with this name, or in one of the configured
        folders; or the model's name on the hub. Raises Invalid for an unknown or damaged one."""
        if not model.strip() or "\0" in model:
            raise Invalid(f"{field} is empty; name the model to train.")
        known = await self._views.read(("trainjob",), trainjob_views.checkpoint, model)
        if known is not None:
            folder: Path | None = Path(known[0])
            if not await asyncio.to_thread(Path(known[0]).is_dir):
                raise Invalid(
                    f"{field}: the checkpoint {model!r} was deleted from {known[0]}. Train it again, or name another model."
                )
        else:
            folder = await asyncio.to_thread(self._folders.model, model)
        if folder is None:
            raise Invalid(
                f"{field} is {model[:200]!r}, which is neither a folder below the setting train_roots nor a checkpoint of a "
                "training job. Download the model into one of these folders."
            )
        await asyncio.to_thread(_check_model, folder, field, group_size)
        return str(folder)


def _check_rows(rows: Sequence[bytes], scheduled: TrainJobScheduled, dataset_id: str) -> None:
    """Raises Invalid for a row in an unknown form."""
    is_preference = scheduled.algorithm.type == "DPO"
    for number, row in enumerate(rows):
        try:
            check(msgspec.json.decode(row), scheduled.config.data.data_format, is_preference)
        except (RowRefused, msgspec.MsgspecError) as error:
            raise Invalid(f"Row {number} of dataset {dataset_id!r} cannot be trained: {error}.") from None


def _check_model(folder: Path, field: str, group_size: int) -> None:
    """Raises Invalid for a folder without a whole model, or whose layers cannot be quantised in groups."""
    try:
        model = open_folder(folder)
    except (ModelRefused, OSError) as error:
        raise Invalid(f"{field}: {error}.") from None
    if group_size and (undivided := undivided_layers(model, group_size)):
        raise Invalid(
            f"algorithm_config.group_size is {group_size}, which does not divide {', '.join(undivided)} of the model: those "
            "layers would not be quantised. Use a divisor of them."
        )
