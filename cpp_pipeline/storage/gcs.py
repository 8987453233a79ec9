"""Objects of a Google Cloud Storage bucket as places.

Belongs here: the client, preconditions on generations, and what to tell a user whose bucket cannot be used. The
client library is imported when the first bucket is named.

Only small objects carry a precondition: they are sent in one request, which the bucket takes or refuses as a whole.
Large ones get names of their own (`versions`), so that they never meet another writer.

The client is the one that `GCSResource` of dagster-gcp makes, `storage.Client(project=None)`, and made here: its import
would load Dagster, BigQuery and pandas into each pod and command that opens a bucket, and give nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.place import ABSENT, Place

_SMALL_BYTES = 8 << 20
_CHUNK_BYTES = 8 << 20
"""What one large upload keeps in memory."""
PATIENCE_SECONDS = 30.0
"""How long a bucket that cannot be reached is asked for, before anything is read or written."""
_ACCOUNT_PAUSE_SECONDS = 2.0
_AT_ONCE = 8
_REMEMBERED: list[dict[str, bytes | None]] = []
T = TypeVar("T")
R = TypeVar("R")


class BucketError(RuntimeError):
    """The bucket of the storage root cannot be used; names the setting and the remedy."""


class GcsPlace(Place):
    """An object `gs://bucket/name`, or all objects below that name."""

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/"))
        parts = urlsplit(self.url)
        self._bucket_name, self._name = parts.netloc, parts.path.strip("/")

    def read(self) -> bytes | None:
        known = _REMEMBERED[-1] if _REMEMBERED else {}
        if self.url not in known:
            known[self.url] = self._read()
        return known[self.url]

    def _read(self) -> bytes | None:
        with told_plainly(self.url) as errors:
            try:
                return bytes(self._blob().download_as_bytes())
            except errors.NotFound:
                return None

    def token(self) -> str:
        with told_plainly(self.url):
            found = self._bucket().get_blob(self._name)
        return str(found.generation) if found is not None else ABSENT

    def size(self) -> int:
        with told_plainly(self.url):
            found = self._bucket().get_blob(self._name)
        if found is None:
            raise FileNotFoundError(f"{self.url}: nothing lies there")
        return int(found.size)

    def names(self) -> list[str]:
        with told_plainly(self.url):
            listed = self._bucket().list_blobs(prefix=self._below(), delimiter="/")
            objects = [blob.name for blob in listed]
        cut = len(self._below())
        return sorted({n[cut:].rstrip("/") for n in [*objects, *listed.prefixes]} - {""})

    def files(self) -> dict[str, float]:
        cut = len(self._below())
        with told_plainly(self.url):
            found = {b.name[cut:]: b.updated.timestamp() for b in self._bucket().list_blobs(prefix=self._below())}
        return {name: time for name, time in found.items() if name and not name.endswith("/")}

    def write(self, content: bytes, replaces: str | None = None) -> None:
        if len(content) > _SMALL_BYTES:
            raise ValueError(f"{self.url}: {len(content)} bytes are too many for one request; `upload` takes a file")
        match = None if replaces is None else int(replaces or 0)
        with told_plainly(self.url) as errors:
            try:
                self._blob().upload_from_string(content, if_generation_match=match)
            except errors.PreconditionFailed:
                # a request that was sent again because its answer was lost finds what it has written
                if self._read() != content:
                    raise self.refusal() from None

    def upload(self, source: Path) -> int:
        size_bytes = source.stat().st_size  # of a log that grows, what is there now
        with told_plainly(self.url), source.open("rb") as reader:
            self._blob(_CHUNK_BYTES).upload_from_file(reader, size=size_bytes)
        return size_bytes

    def download(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with told_plainly(self.url) as errors:
            try:
                self._blob().download_to_filename(str(target))  # compares checksums
            except errors.NotFound:
                raise FileNotFoundError(f"{self.url}: nothing lies there") from None

    def delete(self) -> None:
        own = [self._name] if self._name else []
        in_parallel(self._delete, [*own, *(self._below() + name for name in self.files())])

    def _delete(self, name: str) -> None:
        with told_plainly(self.url) as errors:
            try:
                self._bucket().delete_blob(name)
            except errors.NotFound:
                return

    def _below(self) -> str:
        return f"{self._name}/" if self._name else ""

    def _blob(self, chunk_size: int | None = None) -> Any:
        return self._bucket().blob(self._name, chunk_size=chunk_size)

    def _bucket(self) -> Any:
        return _bucket(self._bucket_name)


@contextmanager
def remembered_reads() -> Iterator[None]:
    """Ask for each small file once in this block, in which nothing is written: planning reads the same ones often."""
    _REMEMBERED.append({})
    try:
        yield
    finally:
        _REMEMBERED.pop()


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Results in order. A request to a bucket takes longer to answer than to send."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, items))


@cache
def _bucket(name: str) -> Any:
    """A bucket, looked at once: of a missing one, reads would only say that the object is missing."""
    try:
        from google.cloud import storage
        from google.cloud.storage.retry import DEFAULT_RETRY
    except ImportError as error:
        remedy = "install the extra: pip install 'cpp_pipeline[gcs]'"
        raise BucketError(f"CPP_PIPELINE_ROOT=gs://{name}: {error}; {remedy}") from error

    def looked_at() -> Any:
        # objects belong to buckets: credentials that come without a project suffice
        found = storage.Client(project=None).bucket(name)
        list(found.list_blobs(max_results=1, retry=DEFAULT_RETRY.with_timeout(PATIENCE_SECONDS)))
        return found

    with told_plainly(f"gs://{name}"):
        return _with_account(looked_at)


def _with_account(work: Callable[[], R]) -> R:
    """What `work` returns; in a pod it waits for credentials: a new node's metadata server may begin after the pod."""
    from google.auth.exceptions import GoogleAuthError

    deadline = time.monotonic() + (PATIENCE_SECONDS if Settings.from_env().kubernetes_service_host else 0.0)
    while True:
        try:
            return work()
        except GoogleAuthError:
            if time.monotonic() + _ACCOUNT_PAUSE_SECONDS > deadline:
                raise
        time.sleep(_ACCOUNT_PAUSE_SECONDS)


@contextmanager
def told_plainly(url: str, setting: str = "CPP_PIPELINE_ROOT") -> Iterator[Any]:
    """Turn errors about a bucket into a `BucketError` that names the setting; yields the client's exceptions."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import ConnectionError as NoConnection

    bucket = urlsplit(url).netloc
    setting = f"{setting} names gs://{bucket}"
    try:
        yield exceptions
    except GoogleAuthError as error:
        raise BucketError(
            f"{setting}, and there are no usable credentials ({_first_line(error)}): run `gcloud auth application-"
            "default login`, set GOOGLE_APPLICATION_CREDENTIALS to a key file, or give the pod an account"
        ) from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise BucketError(
            f"{setting}, and this account may not use it ({_first_line(error)}): grant it roles/storage.objectUser "
            "on the bucket"
        ) from error
    except exceptions.NotFound as error:
        raise BucketError(
            f"{setting}, and there is no such bucket: create it (`gcloud storage buckets create gs://{bucket}`) or "
            "name another one"
        ) from error
    except exceptions.BadRequest as error:
        raise BucketError(
            f"{setting}, and the server refuses the request ({_first_line(error)}): correct the name"
        ) from error
    except (NoConnection, exceptions.RetryError) as error:
        raise BucketError(
            f"{setting}, and storage cannot be reached ({_first_line(error)}): see to the network and run again; "
            "what is finished is kept"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
