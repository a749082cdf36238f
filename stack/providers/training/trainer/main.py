"""The main module of a training worker: trains one job and says how it ended.

Torch is imported last, since that takes seconds in which the server should know what happens.
"""

from __future__ import annotations

from stack.providers.training.protocol import Cancelled, Completed, Failed, Job
from stack.providers.training.report import Report
from stack.providers.training.trainer.refused import Diverged, InputRefused, Stopped, TrainingFailed

_OUT_OF_MEMORY = "out of memory", "allocate memory", "Unable to allocate"
"""Texts of torch for it, on an accelerator and on the CPU: the exception has no type of its own."""


def main(job: Job, report: Report) -> None:
    """Any other exception ends the process with a traceback on standard error, which the server keeps."""
    report.doing = "importing torch"
    from stack.providers.training.trainer.loop import Training

    training = Training(job, report)
    try:
        training.run()
    except Stopped:
        report.write(Cancelled(step=training.step))
    except InputRefused as error:
        report.write(Failed(detail=str(error), is_input=True))
    except Diverged as error:
        report.write(Failed(detail=str(error), step=error.step))
    except TrainingFailed as error:
        report.write(Failed(detail=str(error), step=training.step))
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(text in str(error) for text in _OUT_OF_MEMORY):
            raise
        detail = (
            "the memory did not suffice; lower data_config.batch_size, or use "
            "enable_activation_checkpointing, LoRA or dtype bf16"
        )
        report.write(Failed(detail=detail, step=training.step))
    else:
        report.write(Completed())
