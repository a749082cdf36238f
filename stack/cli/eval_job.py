"""Names of jobs on the command line, and their paths."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

import click

BENCHMARKS = "/v1alpha/eval/benchmarks"


class JobName(NamedTuple):
    """A job's name on the command line: `<benchmark>/<number>`."""

    benchmark: str
    job_id: str

    @classmethod
    def parse(cls, text: str, benchmark: str | None = None) -> JobName:
        """Parses a name. With `benchmark` the number alone is sufficient. Raises UsageError."""
        if benchmark is not None:
            return cls(benchmark, text.removeprefix(f"{benchmark}/"))
        name, slash, job_id = text.rpartition("/")
        if not slash or not name or not job_id:
            raise click.UsageError(f"{text!r} names no job; it is written <benchmark>/<number>.")
        return cls(name, job_id)

    @property
    def name(self) -> str:
        return f"{self.benchmark}/{self.job_id}"

    @property
    def path(self) -> str:
        return f"{path_of(self.benchmark)}/jobs/{quote(self.job_id, safe='')}"


def path_of(benchmark: str) -> str:
    return f"{BENCHMARKS}/{quote(benchmark, safe='/:')}"
