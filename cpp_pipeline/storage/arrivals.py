"""Dumps that somebody put below a prefix of a bucket and that are not registered yet.

Belongs here: the listing for a sensor, and telling a dump from one that is still being uploaded. Does not belong here:
registering (`dumps.add_dump`), the sensor itself, or changes of a registered dump, which its fingerprint shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cpp_pipeline.dumps.registry import file_kind
from cpp_pipeline.storage.dumps import dumps, named
from cpp_pipeline.storage.gcs import told_plainly
from cpp_pipeline.storage.store import Store

SETTLED_SECONDS = 600.0
"""A dump whose newest object is younger is taken to be still on its way."""


@dataclass(frozen=True)
class Arrival:
    """A dump to register: a name for it, where it lies, how much it is."""

    name: str
    url: str
    objects: int
    size_bytes: int


def new_dumps(store: Store, client: Any, prefix: str, settled_seconds: float = SETTLED_SECONDS) -> list[Arrival]:
    """Dumps directly below a prefix that are whole and not registered, by name.

    Each folder is a dump, and each archive, JSONL or parquet file; names that begin with a dot or an underscore
    (markers, unfinished uploads) are passed over. Known dumps cost one listing of names, whatever their size.

    Parameters
    ----------
    client
        `google.cloud.storage.Client`, as `dagster_gcp.GCSResource().get_client()` gives it.
    prefix
        `gs://bucket/prefix`.

    Raises
    ------
    ValueError
        The prefix is no such URL, or two dumps would get one name; says what to do.
    BucketError
        The bucket cannot be listed.
    """
    parts = urlsplit(prefix)
    if parts.scheme != "gs" or not parts.netloc:
        raise ValueError(f"{prefix}: dumps arrive below gs://bucket/prefix")
    base = f"{parts.path.strip('/')}/".lstrip("/")
    known = {d.path for d in dumps(store)}
    with told_plainly(prefix, "the place of new dumps"):
        bucket = client.bucket(parts.netloc)
        found = {f"gs://{parts.netloc}/{top}": top for top in _tops(bucket, base)}
        whole = {}
        for url, top in found.items():
            if url not in known and (held := _settled(bucket, top, settled_seconds)) is not None:
                whole[url] = held
    names = {str(place): name for name, place in named(store, list(whole))}
    return sorted((Arrival(names[url], url, *held) for url, held in whole.items()), key=lambda a: a.name)


def _tops(bucket: Any, base: str) -> Iterable[str]:
    """Object names of what lies directly below, folders without their slash."""
    listed = bucket.list_blobs(prefix=base, delimiter="/")
    files = [blob.name for blob in listed if file_kind(blob.name) is not None]
    folders = [name.rstrip("/") for name in listed.prefixes]
    return [n for n in {*files, *folders} if not n[len(base) :].startswith((".", "_"))]


def _settled(bucket: Any, top: str, settled_seconds: float) -> tuple[int, int] | None:
    """Objects and bytes of a dump; None while it is on its way."""
    count, size_bytes, newest = 0, 0, 0.0
    for blob in bucket.list_blobs(prefix=top):
        if blob.name == top or blob.name.startswith(f"{top}/"):
            count, size_bytes = count + 1, size_bytes + blob.size
            newest = max(newest, blob.updated.timestamp())
    return (count, size_bytes) if count and time.time() - newest >= settled_seconds else None
