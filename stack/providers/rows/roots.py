"""Opens files in the folders that the operator configured, and nothing else, for any path.

Each folder of the path and the file itself are opened relative to the descriptor of the previous one, never
through a symbolic link, so that nothing can be exchanged after it was checked. The data folder is recognised
by its inode: it is refused under any of its names, as is another name (hard link) of a file in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from stack.errors import Invalid
from stack.workers.descriptor import Descriptor

# Intermediate folders are opened for path resolution only, if the system supports it.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO would wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_Inode = tuple[int, int]


class Roots:
    """`roots` are resolved once, here. `forbidden` is the data folder."""

    def __init__(self, roots: Sequence[Path], forbidden: Path) -> None:
        self._roots = [Path(os.path.realpath(root)) for root in roots]
        self._named = [root.absolute() for root in roots]
        self._forbidden = forbidden

    def open(self, uri: str) -> Descriptor:
        """Opens the regular file of an `lsfs:` or `file:` URI for reading. Blocks on the disk. Raises
        Invalid."""
        shown = shown_file(uri)
        if not self._roots:
            raise Invalid(
                f"{shown}: no folder may be read from. Name some in the setting dataset_roots, or send the rows "
                "themselves."
            )
        for root, parts in self._candidates(uri, shown):
            try:
                with _Walk(self._forbidden, shown) as walk:
                    return walk.file(root, parts)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise Invalid(f"{shown} cannot be opened: {error.strerror}.") from None
        raise Invalid(f"{shown} does not exist in the folders of the setting dataset_roots.")

    def _candidates(self, uri: str, shown: str) -> Iterator[tuple[Path, list[bytes]]]:
        scheme, path = _path_of(uri, shown)
        if scheme == "lsfs":
            for root in self._roots:
                yield root, path
            return
        within = False
        for root, named in zip(self._roots, self._named, strict=True):
            for name in dict.fromkeys((root, named)):
                above = [os.fsencode(part) for part in name.parts[1:]]
                if path[: len(above)] == above and len(path) > len(above):
                    within = True
                    yield root, path[len(above) :]
        if not within:
            raise Invalid(f"{shown} is not in a folder of the setting dataset_roots; nothing else is read.")


class _Walk:
    """Opens the folders of one path down to the file; closes its descriptors."""

    def __init__(self, forbidden: Path, shown: str) -> None:
        self._shown = shown
        self._forbidden = forbidden
        self._folder = _inode(forbidden.stat()) if forbidden.exists() else None
        self._stack = ExitStack()

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def file(self, root: Path, parts: Sequence[bytes]) -> Descriptor:
        at = self._enter(os.open(root, _FOLDER))
        self._check_above(at)
        for part in parts[:-1]:
            at = self._enter(self._open(part, _FOLDER, at))
        name = parts[-1]
        before = os.stat(name, dir_fd=at, follow_symlinks=False)
        # Checked before it is opened: opening a device may have effects, and closing a file of the event log
        # would release SQLite's locks of this process.
        self._check_file(before)
        file = Descriptor(self._open(name, _FILE, at))
        after = os.fstat(file.number)
        self._check_file(after)
        if _inode(after) != _inode(before):
            raise Invalid(f"{self._shown} was replaced while it was being opened. Try again.")
        return file

    def _enter(self, folder: int) -> int:
        self._stack.callback(os.close, folder)
        if _inode(os.fstat(folder)) == self._folder:
            raise self._in_data_folder()
        return folder

    def _open(self, name: bytes, flags: int, folder: int) -> int:
        try:
            return os.open(name, flags, dir_fd=folder)
        except OSError:
            if _is_link(name, folder):
                raise self._through_link() from None
            raise

    def _check_above(self, root: int) -> None:
        """Raises Invalid if the root itself is in the data folder."""
        at, last = root, None
        while (inode := _inode(os.fstat(at))) != last:
            last = inode
            at = self._enter(os.open("..", _FOLDER, dir_fd=at))

    def _check_file(self, state: os.stat_result) -> None:
        if stat.S_ISLNK(state.st_mode):
            raise self._through_link()
        if not stat.S_ISREG(state.st_mode):
            raise Invalid(f"{self._shown} is not a regular file.")
        if state.st_nlink > 1 and self._folder is not None and _holds(self._forbidden, _inode(state)):
            raise self._in_data_folder()

    def _through_link(self) -> Invalid:
        return Invalid(f"{self._shown} leads through a symbolic link; those are not followed.")

    def _in_data_folder(self) -> Invalid:
        return Invalid(f"{self._shown} is in the server's data folder, which is not read from.")


def shown_file(uri: str) -> str:
    """Returns the URI for messages: without query and fragment, at most 200 characters."""
    plain = uri[:8192].partition("?")[0].partition("#")[0]
    cut = plain[:200] + ("..." if len(plain) > 200 else "")
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)


def _path_of(uri: str, shown: str) -> tuple[str, list[bytes]]:
    """Returns scheme and decoded path segments. Raises Invalid for anything that is not a plain path."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise Invalid(f"{shown} is not a URI.") from None
    scheme = parts.scheme.lower()
    if parts.query or parts.fragment:
        raise Invalid(f"{shown} has a query or a fragment; in a file name, ? is %3F and # is %23.")
    text = parts.path
    if scheme == "lsfs":
        # What looks like a host is the first folder: lsfs://folder/file.
        text = parts.netloc + text
    elif parts.netloc not in ("", "localhost") or not text.startswith("/"):
        raise Invalid(f"{shown} is not of the form file:///path.")
    segments = unquote_to_bytes(text.encode("utf-8", "surrogatepass")).split(b"/")
    names = [segment for segment in segments if segment]
    if not names or any(name in (b".", b"..") or b"\0" in name for name in names):
        raise Invalid(f"{shown} is not a plain path: it may not be empty or hold . or .. or NUL.")
    return scheme, names


def _inode(state: os.stat_result) -> _Inode:
    return state.st_dev, state.st_ino


def _is_link(name: bytes, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _holds(folder: Path, inode: _Inode) -> bool:
    """Returns whether a file is in a folder, at any depth, under any name."""
    device, number = inode
    pending = [os.fspath(folder)]
    while pending:
        # A file that is removed meanwhile is not the one.
        with suppress(FileNotFoundError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.inode() == number:
                    with suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_dev == device:
                            return True
    return False
