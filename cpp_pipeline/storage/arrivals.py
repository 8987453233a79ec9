"""Dumps that somebody put below a folder or a prefix of a bucket and that are not registered yet.

Belongs here: the listing for a sensor, telling a dump from one that is still on its way, and registering what can be.
Does not belong here: the sensor (`watch`), or changes of a registered dump, which its fingerprint shows.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cpp_pipeline.dumps.registry import file_kind
from cpp_pipeline.dumps.remote import is_remote, local_path
from cpp_pipeline.storage.dumps import add_dump, dumps, made_name
from cpp_pipeline.storage.gcs import told_plainly
from cpp_pipeline.storage.store import Store

_PASSED_OVER = (".", "_")
"""What names of markers and unfinished copies begin with."""
_SETTING = "CPP_PIPELINE_INBOX"


@dataclass(frozen=True)
class Arrival:
    """A dump to register: a name for it, where it lies, how much it is."""

    name: str
    url: str
    files: int
    size_bytes: int


def new_dumps(store: Store, inbox: str, settled_seconds: float, client: Any = None) -> list[Arrival]:
    """Dumps directly below a place that are whole and not registered, by name; two may have the same one.

    Each folder is a dump, and each archive, JSONL or parquet file; names that begin with a dot or an underscore
    are passed over. Known dumps cost one listing of names, whatever their size.

    Parameters
    ----------
    inbox
        A folder, or `gs://bucket/prefix`.
    settled_seconds
        A dump of which anything was put there later than that is taken to be still on its way. Of a local file that
        is the time at which it was written or renamed here, not the one that a copy has kept.
    client
        `google.cloud.storage.Client` for a bucket; by default dagster-gcp's.

    Raises
    ------
    ValueError
        The place is neither a folder nor such a URL; says what to do.
    BucketError
        The bucket cannot be listed.
    """
    known = {d.path for d in dumps(store)}
    found = _in_bucket(inbox, client, known) if is_remote(inbox) else _in_folder(inbox, known)
    before = time.time() - settled_seconds
    whole = [
        Arrival(made_name(url), url, n, size) for url, (n, size, newest) in found.items() if n and newest <= before
    ]
    return sorted(whole, key=lambda a: (a.name, a.url))


def register(store: Store, arrivals: Iterable[Arrival]) -> tuple[list[str], list[str]]:
    """Register what can be; returns the names of these dumps, and in words why others were not.

    Of two dumps with one name none is taken: which of them was meant, nobody can tell.
    """
    by_name: dict[str, list[str]] = {}
    for arrival in arrivals:
        by_name.setdefault(arrival.name, []).append(arrival.url)
    names, refused = [], []
    for name, urls in by_name.items():
        if len(urls) > 1:
            refused.append(
                f"{' and '.join(urls)} would both be dump {name!r}: rename one, or name it with "
                f"`cpp-pipeline dumps add {urls[0]} --name NAME`"
            )
            continue
        try:
            names.append(add_dump(store, urls[0], name).name)
        except (ValueError, FileNotFoundError) as error:
            refused.append(str(error))
    return names, refused


Found = Mapping[str, tuple[int, int, float]]
"""Path or URL -> files, bytes, and when the newest of them was put there (seconds since 1970)."""


def _in_folder(inbox: str, known: set[str]) -> Found:
    folder = local_path(inbox).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"{_SETTING}={inbox}: no such folder; make it, or name one below which dumps are put")
    tops = [p for p in sorted(folder.iterdir()) if p.is_dir() or file_kind(p.name) is not None]
    new = [p for p in tops if not p.name.startswith(_PASSED_OVER) and str(p.resolve()) not in known]
    return {str(p): _total(_files(p)) for p in new}


def _files(top: Path) -> Iterator[tuple[int, int, float]]:
    """Count, bytes and time of each part of a dump; a folder has a time too: it changes when something comes in."""
    below = (Path(folder, name) for folder, _, names in os.walk(top) for name in (".", *names))
    for path in below if top.is_dir() else [top]:
        with suppress(FileNotFoundError):  # renamed since it was listed: its folder has changed then
            found = path.lstat()
            is_file = not stat.S_ISDIR(found.st_mode)
            yield is_file, found.st_size * is_file, found.st_ctime


def _in_bucket(inbox: str, client: Any, known: set[str]) -> Found:
    parts = urlsplit(inbox)
    if parts.scheme != "gs" or not parts.netloc:
        raise ValueError(f"{_SETTING}={inbox}: dumps arrive in a folder or below gs://bucket/prefix")
    base = f"{parts.path.strip('/')}/".lstrip("/")
    gcs = _resource() if client is None else None
    with told_plainly(inbox, _SETTING):
        bucket = (gcs.get_client() if gcs else client).bucket(parts.netloc)
        tops = {f"gs://{parts.netloc}/{top}": top for top in _tops(bucket, base)}
        return {url: _total(_objects(bucket, top)) for url, top in tops.items() if url not in known}


def _resource() -> Any:
    try:
        from dagster_gcp.gcs import GCSResource
    except ImportError as error:
        raise ValueError(f"{_SETTING}: {error}; install the extra: pip install 'cpp_pipeline[gcs]'") from error
    return GCSResource()


def _tops(bucket: Any, base: str) -> Iterable[str]:
    """Object names of what lies directly below, folders without their slash."""
    listed = bucket.list_blobs(prefix=base, delimiter="/")
    files = [blob.name for blob in listed if file_kind(blob.name) is not None]
    folders = [name.rstrip("/") for name in listed.prefixes]
    return [n for n in {*files, *folders} if not n[len(base) :].startswith(_PASSED_OVER)]


def _objects(bucket: Any, top: str) -> Iterator[tuple[int, int, float]]:
    for blob in bucket.list_blobs(prefix=top):
        if blob.name == top or blob.name.startswith(f"{top}/"):
            yield 1, blob.size, blob.updated.timestamp()


def _total(parts: Iterable[tuple[int, int, float]]) -> tuple[int, int, float]:
    count, total, newest = 0, 0, 0.0
    for files, size_bytes, put_there in parts:
        count, total, newest = count + files, total + size_bytes, max(newest, put_there)
    return count, total, newest
