"""Which files of a repository hold which split, as the hub's datasets are laid out."""

from __future__ import annotations

from typing import Any

import pytest

from stack.errors import Invalid
from stack.providers.rows.hub_files import chosen, converted_files, described_files, own_files


def test_converted() -> None:
    paths = [
        "a/train/0001.parquet",
        "a/train/0000.parquet",
        "a/partial-test/0000.parquet",
        "x.parquet",
        "a/b/c.txt",
    ]
    assert converted_files(paths) == {"a": {"train": ["a/train/0000.parquet", "a/train/0001.parquet"]}}


@pytest.mark.parametrize(
    ("path", "config", "split"),
    [
        ("data/train-00000-of-00001.parquet", "default", "train"),
        ("data/train-00000-of-00001-abcdef0123456789.parquet", "default", "train"),
        ("data/test.clean-00000-of-00003.parquet", "default", "test.clean"),
        ("en/validation-00000-of-00001.parquet", "en", "validation"),
        ("train.parquet", "default", "train"),
        ("en/my_test.parquet", "en", "test"),
        ("en/dev/0.parquet", "en", "validation"),
        ("eval.parquet", "default", "test"),
        ("contest.parquet", "default", "train"),
        ("all.parquet", "default", "train"),
    ],
)
def test_own(path: str, config: str, split: str) -> None:
    assert own_files([path, "README.md", "train.csv"]) == {config: {split: [path]}}


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        ("a/*.parquet", {"train": ["a/1.parquet"]}),
        (["a/*", "b.parquet"], {"train": ["a/1.parquet", "b.parquet"]}),
        ({"dev": "b.parquet"}, {"dev": ["b.parquet"]}),
        (
            [{"split": "x", "path": ["a/?.parquet"]}, {"split": "y", "path": "**/2.parquet"}],
            {"x": ["a/1.parquet"], "y": ["a/d/2.parquet"]},
        ),
        ([{"split": "x", "path": "none"}], {}),
    ],
)
def test_described(data_files: Any, expected: dict[str, list[str]]) -> None:
    paths = ["a/1.parquet", "a/d/2.parquet", "b.parquet"]
    found = described_files(paths, [{"config_name": "c", "data_files": data_files}])
    assert found.get("c", {}) == expected


def test_described_wrongly_or_in_other_formats() -> None:
    for configs in ("x", [1], [{"data_files": 1}], [{"data_files": [{"split": "x"}]}]):
        with pytest.raises(Invalid, match="card of the dataset"):
            described_files(["a.parquet"], configs)
    assert described_files(["a.csv"], [{"data_files": "a.csv"}]) == {}
    assert described_files(["d/a.parquet"], [{"data_dir": "d"}]) == {"default": {"train": ["d/a.parquet"]}}


def test_chosen() -> None:
    files = {"default": {"train": ["a"], "test": ["b"]}, "x": {"only": ["c"]}}
    assert chosen(files, "", "test", "it") == ["b"]
    assert chosen(files, "x", "", "it") == ["c"]
    assert chosen({"x": {"only": ["c"]}}, "", "", "it") == ["c"]
    with pytest.raises(Invalid, match="it has no split 'dev'; there are test, train"):
        chosen(files, "", "dev", "it")
    with pytest.raises(Invalid, match="it has no config 'y'; there are default, x"):
        chosen(files, "y", "train", "it")
    with pytest.raises(Invalid, match="it has no Parquet files"):
        chosen({}, "", "train", "it")
    with pytest.raises(Invalid, match=r"several configs; add \?config= with one of x, y"):
        chosen({"x": {}, "y": {}}, "", "train", "it")
