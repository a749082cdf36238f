"""The course of a training: epochs of steps, validation, checkpoints, and where it continues."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from stack.providers.training.protocol import Checkpoint, Epoch, Job, Prepared, Step, checkpoint_path
from stack.providers.training.report import Report
from stack.providers.training.trainer import method, optimizer
from stack.providers.training.trainer.base_model import find_device, load
from stack.providers.training.trainer.batches import chunks, order
from stack.providers.training.trainer.objective import Objective, Sums, Supervised, add, check_packing
from stack.providers.training.trainer.preference import Preference
from stack.providers.training.trainer.refused import Diverged, InputRefused, Stopped
from stack.providers.training.trainer.saved import State, digests, save_folder, saved_epochs


class Training:
    """One job, from loading to the last checkpoint. `step` is the last step that was done."""

    def __init__(self, job: Job, report: Report) -> None:
        self.step = 0
        self._job = job
        self._report = report
        self._config = job.config
        self._method = method.choose(job)
        self._batch = job.config.data.batch_size
        self._device = find_device()

    def run(self) -> None:
        """Trains what is left of the job. Raises InputRefused, TrainingFailed and Stopped."""
        objective = self._load()
        parameters = [one for one in self._model.parameters() if one.requires_grad]
        made = self._optimizer = optimizer.build(self._config.optimizer, parameters)
        self._state = State(self._job.state, self._model, made)
        # A state that is missing costs the time to train its epochs again, from one before it.
        known = [epoch for epoch in saved_epochs(self._job.state) if epoch <= self._job.epochs_done]
        if known:
            self.step = self._state.restore(known[-1])
        self._report.write(self._prepared(objective, parameters))
        for epoch in range(known[-1] + 1 if known else 1, self._config.n_epochs + 1):
            self._epoch(epoch, objective)

    def _load(self) -> Objective:
        """Loads the model and the rows, and prepares the model for training."""
        job, config = self._job, self._config
        self._doing("loading the model")
        self._base = base = load(job.base, job.on_hub, config.dtype, self._device)
        self._doing("reading the rows")
        objective: Objective
        if job.algorithm.type == "DPO":
            objective = preference = Preference(job, base, self._device)
            self._doing("asking the base model")
            preference.consult(base.model.eval(), self._watched(self._used(preference)))
            limit = self._validated(preference)
            preference.consult(base.model, self._watched(chunks(range(limit), self._batch)), validation=True)
        else:
            objective = supervised = Supervised(job, base, self._device)
            if config.data.packed and not check_packing(base.model.eval(), supervised):
                raise InputRefused(
                    "data_config.packed: this model does not keep attention within the samples of a sequence; "
                    "leave it out"
                )
        self._doing("preparing the model")
        torch.manual_seed(job.seed)
        self._model = self._method.prepare(base.model)
        if config.activation_checkpointing:
            self._model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self._doing("")
        return objective

    def _prepared(self, objective: Objective, parameters: list[Any]) -> Prepared:
        name = torch.cuda.get_device_name() if self._device.type == "cuda" else "cpu"
        return Prepared(
            samples=objective.count,
            total_steps=self._steps(objective) * self._config.n_epochs,
            trainable_parameters=sum(one.numel() for one in parameters),
            total_parameters=sum(one.numel() for one in self._model.parameters()),
            resources={"device": name, "threads": torch.get_num_threads(), "torch": str(torch.__version__)},
        )

    def _steps(self, objective: Objective) -> int:
        """Returns the number of steps of an epoch; its last one may have fewer batches."""
        per_step = self._batch * self._config.gradient_accumulation_steps
        return min(self._config.max_steps_per_epoch, math.ceil(objective.count / per_step))

    def _numbers(self, objective: Objective, epoch: int) -> Sequence[int]:
        """Returns the items of an epoch in their order."""
        used = self._steps(objective) * self._batch * self._config.gradient_accumulation_steps
        return order(objective.count, self._config.data.shuffle, self._job.seed + epoch)[:used]

    def _used(self, objective: Objective) -> Any:
        """Returns batches of all items that the job will train; the steps of an epoch may be few."""
        used: set[int] = set()
        for epoch in range(1, self._config.n_epochs + 1):
            used.update(self._numbers(objective, epoch))
            if len(used) == objective.count or not self._config.data.shuffle:
                break
        return chunks(sorted(used), self._batch)

    def _epoch(self, epoch: int, objective: Objective) -> None:
        torch.manual_seed(self._job.seed + epoch)
        self._model.train()
        total = self._steps(objective) * self._config.n_epochs
        per_step = self._batch * self._config.gradient_accumulation_steps
        losses: list[float] = []
        sums: Sums = {}
        for numbers in chunks(self._numbers(objective, epoch), per_step):
            if self._report.stop_requested:
                raise Stopped
            started = perf_counter()
            rate = optimizer.learning_rate(self._config.optimizer, self.step + 1, total)
            found = self._update(objective, numbers, rate)
            self.step += 1
            losses.append(found["loss"] / found["weight"])
            add(sums, found)
            if epoch > self._job.epochs_done:
                ms = 1000 * (perf_counter() - started)
                self._report.write(
                    Step(
                        step=self.step,
                        epoch=epoch,
                        loss=losses[-1],
                        learning_rate=rate,
                        tokens=int(found["tokens"]),
                        ms=ms,
                    )
                )
        self._finish(epoch, objective, sum(losses) / len(losses), sums)

    def _update(self, objective: Objective, numbers: Sequence[int], rate: float) -> Sums:
        """Trains one step. Raises Diverged before the weights change."""
        weight = objective.weight(numbers)
        sums: Sums = {}
        for batch in chunks(numbers, self._batch):
            with self._offloading():
                loss, found = objective.loss(self._model, batch)
            (loss / weight).backward()
            add(sums, found)
        if not math.isfinite(sums["loss"]):
            raise Diverged(self.step + 1, "the loss")
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, optimizer.MAX_GRADIENT_NORM)
        if not math.isfinite(float(norm)):
            raise Diverged(self.step + 1, "the gradient")
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        return sums

    def _offloading(self) -> Any:
        return torch.autograd.graph.save_on_cpu() if self._config.activation_offloading else nullcontext()

    def _finish(self, epoch: int, objective: Objective, train_loss: float, sums: Sums) -> None:
        """Validates, reports the epoch, and saves its checkpoint and state."""
        names = sums.keys() - {"loss", "weight", "tokens", "nll", "nll_tokens"}
        metrics = {name: sums[name] / sums["weight"] for name in sorted(names)}
        validation = perplexity = None
        if held_out := self._validate(objective):
            validation = held_out["loss"] / held_out["weight"]
            perplexity = math.exp(min(held_out["nll"] / held_out["nll_tokens"], 700))
            metrics |= {f"validation_{name}": held_out[name] / held_out["weight"] for name in sorted(names)}
            if not math.isfinite(validation):
                raise Diverged(self.step, "the validation loss after")
        done = Epoch(
            epoch=epoch,
            last_step=self.step,
            train_loss=train_loss,
            validation_loss=validation,
            perplexity=perplexity,
            metrics=metrics,
        )
        reported = epoch > self._job.epochs_done
        if reported:
            self._report.write(done)
        saved = self._save(done)
        self._state.save(epoch, self.step)
        if reported:
            self._report.write(saved)

    def _validate(self, objective: Objective) -> Sums:
        """Returns the sums over the validation rows; empty if there are none."""
        sums: Sums = {}
        self._model.eval()
        with torch.no_grad():
            for batch in self._watched(chunks(range(self._validated(objective)), self._batch)):
                _, found = objective.loss(self._model, batch, validation=True)
                add(sums, found)
        return sums

    def _validated(self, objective: Objective) -> int:
        return min(objective.validation_count, self._config.max_validation_steps * self._batch)

    def _save(self, done: Epoch) -> Checkpoint:
        job, path = self._job, checkpoint_path(self._job.output, done.epoch)

        def fill(folder: Path) -> None:
            self._method.save(self._model, folder)
            self._base.tokenizer.save_pretrained(folder)
            about = {
                "job_uuid": job.job_uuid,
                "base": job.base,
                "epoch": done.epoch,
                "step": done.last_step,
                "train_loss": done.train_loss,
                "validation_loss": done.validation_loss,
                "sha256": digests(folder),
            }
            (folder / "training.json").write_text(json.dumps(about, indent=1))

        size = save_folder(Path(path), fill)
        return Checkpoint(
            epoch=done.epoch, step=done.last_step, path=path, kind=self._method.kind, bytes=size
        )

    def _watched(self, batches: Any) -> Any:
        """Yields batches until the job is cancelled. Raises Stopped."""
        for batch in batches:
            if self._report.stop_requested:
                raise Stopped
            yield batch

    def _doing(self, what: str) -> None:
        if self._report.stop_requested:
            raise Stopped
        self._report.doing = what
