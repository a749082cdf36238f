"""Finds and downloads the files of a dataset on the Hugging Face hub, with the hub's own library, in a worker process
(see `stack.workers.child`).

The files are written to a folder that the server names and removes; the worker removes it if the server has
ended. The token, endpoint and certificates are those of the server's environment.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from stack.errors import Invalid, UpstreamFailed
from stack.providers.rows import frames, hub_files
from stack.providers.rows.frames import Frames, HubJob, Listing

_MAX_PATHS = 100_000
_CARD = "README.md"


def answer(task: bytes) -> Frames:
    job = msgspec.json.decode(task, type=HubJob)
    signal.signal(signal.SIGTERM, lambda *_: _clear_up(job.folder))
    return frames.refusing(_answer(job))


def _clear_up(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _answer(job: HubJob) -> Frames:
    hub = _Hub(job)
    if job.path:
        yield frames.FILE, 0, hub.download(job.path, job.revision).encode()
        return
    commit, files = hub.files()
    paths = hub_files.chosen(files, job.config, job.split, job.shown)
    size = sum(hub.sizes.get(path, 0) for path in paths)
    if size > job.limits.max_bytes:
        raise Invalid(
            f"{job.shown} has {size} bytes in its files, more than {job.limits.max_bytes} (setting max_dataset_bytes)."
        )
    yield frames.LISTING, 0, msgspec.json.encode(Listing(commit, paths))


class _Hub:
    """One dataset on the hub."""

    def __init__(self, job: HubJob) -> None:
        # Importing it takes 0.8 s.
        import huggingface_hub

        self._library = huggingface_hub
        self._api = huggingface_hub.HfApi()
        self._job = job
        self.sizes: dict[str, int] = {}

    def files(self) -> tuple[str, hub_files.Files]:
        """Returns the commit to read from, and its Parquet files. Raises Invalid, UpstreamFailed."""
        named = self._job.revision
        if named in ("", hub_files.CONVERTED):
            commit = self._commit(hub_files.CONVERTED, optional=not named)
            files = hub_files.converted_files(self._paths(commit)) if commit else {}
            if files or named:
                return commit, files
        commit = self._commit(named or "main")
        paths = self._paths(commit)
        configs = self._configs(commit) if _CARD in paths else None
        return commit, hub_files.described_files(paths, configs) if configs else hub_files.own_files(paths)

    def download(self, path: str, revision: str) -> str:
        found = self._asked(
            lambda: self._library.hf_hub_download(
                self._job.repository,
                path,
                repo_type="dataset",
                revision=revision,
                local_dir=self._job.folder,
            )
        )
        return str(Path(found).relative_to(self._job.folder))

    def _commit(self, revision: str, optional: bool = False) -> str:
        """Returns the hash of a revision, so that everything is read from one commit; "" for an optional
        missing one."""
        try:
            info = self._asked(lambda: self._api.dataset_info(self._job.repository, revision=revision))
        except _NoRevision:
            if optional:
                return ""
            raise
        return str(info.sha)

    def _paths(self, commit: str) -> list[str]:
        tree = self._asked(
            lambda: list(
                islice(
                    self._api.list_repo_tree(
                        self._job.repository, recursive=True, revision=commit, repo_type="dataset"
                    ),
                    _MAX_PATHS,
                )
            )
        )
        self.sizes = {entry.path: entry.size for entry in tree if hasattr(entry, "size")}
        return sorted(self.sizes)

    def _configs(self, commit: str) -> Any:
        card = Path(self._job.folder) / self.download(_CARD, commit)
        try:
            data = self._library.DatasetCard.load(card, ignore_metadata_errors=True).data
        except ValueError:
            return None
        return data.to_dict().get("configs")

    def _asked(self, call: Callable[[], Any]) -> Any:
        from huggingface_hub import errors

        shown = self._job.shown
        try:
            return call()
        except errors.RevisionNotFoundError:
            raise _NoRevision(f"{shown} has no revision {self._job.revision!r}.") from None
        except errors.GatedRepoError:
            raise Invalid(
                f"{shown} is gated: its terms must be accepted by the account of the server's HF_TOKEN."
            ) from None
        except errors.RepositoryNotFoundError:
            raise Invalid(
                f"{shown} does not exist, or not for the server's account on the hub (HF_TOKEN)."
            ) from None
        except errors.HFValidationError:
            raise Invalid(f"{shown} is not the name of a dataset on the hub.") from None
        except errors.OfflineModeIsEnabled:
            raise Invalid(f"{shown} cannot be downloaded: the server is offline (HF_HUB_OFFLINE).") from None
        except errors.HfHubHTTPError as error:
            status = getattr(error.response, "status_code", "no status")
            raise UpstreamFailed(f"{shown}: the hub answered {status}.") from None
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
                raise UpstreamFailed(f"{shown} could not be downloaded: {type(error).__name__}.") from error
            raise


class _NoRevision(Invalid):
    pass


# The hub's library has changed this class more than once, and does not wrap the client's errors.
_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
