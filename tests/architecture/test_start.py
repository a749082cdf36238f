"""The application imports few libraries before it answers: each one here takes from 10 ms to a second."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.sources import ROOT

LATER = (
    "attr",
    "bm25s",
    "eventsourcing",
    "google.protobuf",
    "grpc",
    "h11",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "langdetect",
    "math_verify",
    "nanoarrow",
    "numpy",
    "openai",
    "opentelemetry.exporter",
    "opentelemetry.proto",
    "pandas",
    "pyarrow",
    "pydantic",
    "rapidfuzz",
    "re2",
    "rich",
    "sympy",
    "stack.eventsourcing_adapter",
    "stack.providers.scoring.choice",
    "Stemmer",
    "tree_sitter",
)
"""Imported when the first request needs them, or never."""

BUILT = "import sys; from stack.app import Application; Application([]); print(*sys.modules)"


def test_heavy_libraries_are_not_imported_by_the_application() -> None:
    built = subprocess.run(
        [sys.executable, "-c", BUILT], cwd=ROOT, check=True, capture_output=True, text=True
    )
    imported = set(built.stdout.split())
    assert "duckdb" in imported
    assert imported.isdisjoint(LATER)
