"""Files are opened below the roots only, whatever the path looks like, and never in the data folder."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import Invalid
from stack.providers.rows.roots import Roots


@pytest.fixture(autouse=True)
def nothing_stays_open(tmp_path: Path) -> Iterator[None]:
    yield
    names = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(number.readlink()))
    assert [name for name in names if name.startswith(str(tmp_path))] == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with files, and things outside of it that it leads to."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "sub/b c.csv").write_text("b")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.csv").write_text("secret")
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "blobs/ab").mkdir(parents=True)
    (data / "events.sqlite").write_text("log")
    (data / "blobs/ab/abcd").write_text("blob")
    return data


def text(roots: Roots, uri: str) -> str:
    opened = roots.open(uri)
    return os.pread(opened.number, 100, 0).decode()


def refused(roots: Roots, uri: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as raised:
        roots.open(uri)
    assert "secret=" not in raised.value.detail
    raised.value.__traceback__ = None


def test_files_beneath_a_root_are_opened(root: Path, data: Path) -> None:
    roots = Roots([root], data)
    assert text(roots, "lsfs://a.csv") == text(roots, "lsfs:a.csv") == text(roots, "lsfs:///a.csv") == "a"
    assert text(roots, "LSFS://sub/b%20c.csv") == text(roots, "lsfs://sub//b c.csv") == "b"
    assert text(roots, f"file://{root}/sub/b%20c.csv") == text(roots, f"file:{root}/sub/b c.csv") == "b"
    assert text(roots, f"file://localhost{root}/a.csv") == "a"


def test_without_roots_the_setting_is_named(data: Path) -> None:
    for uri in ("lsfs://a.csv", "file:///etc/passwd"):
        refused(Roots([], data), uri, "dataset_roots")


def test_of_several_roots_the_first_that_has_the_file_counts(root: Path, data: Path, tmp_path: Path) -> None:
    roots = Roots([tmp_path / "missing", root / "sub", root, tmp_path / "outside"], data)
    assert text(roots, "lsfs://a.csv") == "a"
    assert text(roots, "lsfs://secret.csv") == "secret"
    assert text(roots, f"file://{root}/a.csv") == "a"
    refused(roots, "lsfs://none.csv", "does not exist in the folders of the setting dataset_roots")


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.csv",
        "sub/../../outside/secret.csv",
        "%2e%2e/outside/secret.csv",
        "..%2foutside%2fsecret.csv",
        "%2E%2E%2Foutside/secret.csv",
        "sub/%2e%2e/a.csv",
        "./a.csv",
        "a.csv%00",
        "",
        "/",
    ],
)
def test_paths_that_are_not_plain_are_refused(root: Path, data: Path, path: str) -> None:
    roots = Roots([root], data)
    refused(roots, f"lsfs://{path}", "plain path")
    refused(roots, f"file://{root}/{path or '..'}", "(plain path|not in)")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file:///",
        "file:///root/../etc/passwd",
        "file:///{outside}/secret.csv",
        "file://{root}-other/a.csv",
        "file://{root}",
        "file://{root}/",
        "file://otherhost{root}/a.csv",
        "file:a.csv",
        "file://",
    ],
)
def test_what_is_not_beneath_a_root_is_refused_whether_it_exists_or_not(
    root: Path, data: Path, tmp_path: Path, uri: str
) -> None:
    uri = uri.replace("{root}", str(root)).replace("{outside}", str(tmp_path / "outside"))
    refused(Roots([root], data), uri, "(not in a folder of the setting dataset_roots|plain path|of the form)")


def test_queries_are_refused_and_not_repeated(root: Path, data: Path) -> None:
    refused(Roots([root], data), "lsfs://a.csv?secret=1", r"lsfs://a.csv has a query or a fragment")
    refused(Roots([root], data), "lsfs://a.csv#secret=1", r"query or a fragment")


def test_names_that_look_like_something_else_are_plain_names(root: Path, data: Path) -> None:
    for name in ("a?b.csv", "a#b.csv", "a%2fb.csv", "..csv", "user:pw@host", "\u00e9.csv", "a\\b.csv"):
        (root / name).write_text(name)
    roots = Roots([root], data)
    assert text(roots, "lsfs://a%3Fb.csv") == "a?b.csv"
    assert text(roots, "lsfs://a%23b.csv") == "a#b.csv"
    assert text(roots, "lsfs://a%252fb.csv") == "a%2fb.csv"
    assert text(roots, "lsfs://..csv") == "..csv"
    assert text(roots, "lsfs://\u00e9.csv") == text(roots, "lsfs://%C3%A9.csv") == "\u00e9.csv"
    assert text(roots, "lsfs:///a\\b.csv") == "a\\b.csv"


def test_symbolic_links_are_not_followed_at_any_place(root: Path, data: Path, tmp_path: Path) -> None:
    (root / "link.csv").symlink_to(root / "a.csv")
    (root / "out.csv").symlink_to("../outside/secret.csv")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "sub/up").symlink_to("..")
    (root / "dangling").symlink_to("nowhere")
    roots = Roots([root], data)
    for path in ("link.csv", "out.csv", "folder/secret.csv", "sub/up/a.csv", "dangling"):
        refused(roots, f"lsfs://{path}", "symbolic link")
        refused(roots, f"file://{root}/{path}", "symbolic link")


def test_a_root_that_is_a_link_is_resolved_once(root: Path, data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    roots = Roots([link], data)
    assert text(roots, "lsfs://a.csv") == "a"
    assert text(roots, f"file://{link}/a.csv") == text(roots, f"file://{root}/a.csv") == "a"
    link.unlink()
    link.symlink_to(tmp_path / "outside")
    assert text(roots, "lsfs://a.csv") == "a"
    refused(roots, f"file://{link}/secret.csv", "does not exist")


def test_only_regular_files_are_opened_and_nobody_waits_for_a_fifo(root: Path, data: Path) -> None:
    os.mkfifo(root / "fifo.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket.csv"))
    roots = Roots([root], data)
    for name in ("fifo.csv", "socket.csv", "sub"):
        refused(roots, f"lsfs://{name}", "not a regular file")
    refused(Roots([Path("/dev")], data), "lsfs://null", "not a regular file")
    refused(Roots([Path("/dev")], data), "lsfs://zero", "not a regular file")
    refused(roots, "lsfs://a.csv/b", "does not exist")


def test_what_may_not_be_read_is_refused(root: Path, data: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / "a.csv").chmod(0)
    refused(Roots([root], data), "lsfs://a.csv", "Permission denied")


def test_the_data_folder_is_not_read_through_a_root_around_it(data: Path, tmp_path: Path) -> None:
    roots = Roots([tmp_path], data)
    for path in ("data/events.sqlite", "data/blobs/ab/abcd", "data/none"):
        refused(roots, f"lsfs://{path}", "data folder")
        refused(roots, f"file://{tmp_path}/{path}", "data folder")


def test_the_data_folder_is_not_read_through_a_root_within_it(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data / "blobs")
    for root in (data, data / "blobs", data / "blobs/ab", link):
        refused(Roots([root], data), "lsfs://abcd", "data folder")
        refused(Roots([root], data), f"file://{data}/blobs/ab/abcd", "(data folder|not in)")


def test_the_data_folder_is_known_by_any_of_its_names(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    refused(Roots([tmp_path], link), "lsfs://data/events.sqlite", "data folder")
    moved = data.rename(tmp_path / "moved")
    link.unlink()
    link.symlink_to(moved)
    refused(Roots([tmp_path], link), "lsfs://moved/blobs/ab/abcd", "data folder")


def test_a_second_name_of_a_file_in_the_data_folder_is_refused(root: Path, data: Path) -> None:
    os.link(data / "blobs/ab/abcd", root / "innocent.csv")
    os.link(root / "a.csv", root / "second.csv")
    roots = Roots([root], data)
    refused(roots, "lsfs://innocent.csv", "data folder")
    assert text(roots, "lsfs://second.csv") == "a"
