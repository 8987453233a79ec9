"""What has to be started: the dumps of a root against what Dagster knows of them.

Belongs here: deciding which runs to ask for. Does not belong here: when anybody looks (`defs/automation.py`), which
assets there are (`automation`), or where dumps arrive (`arrivals`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import dagster as dg

from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.arrivals import new_dumps, register
from cpp_pipeline.storage.assets import repo_dumps
from cpp_pipeline.storage.automation import CANARIES, JUDGED, SKIP
from cpp_pipeline.storage.dumps import dumps
from cpp_pipeline.storage.store import Store

DUMP_JOB, JOINED_JOB = "data_stages", "joined_tables"


def look(context: dg.SensorEvaluationContext, store: Store, inbox: str, settled_seconds: float) -> dg.SensorResult:
    """Register what has arrived, and ask for a run of every dump that Dagster does not know yet.

    Dumps that people registered count as well. Of a dump that was removed the partition goes, and the joined tables
    are asked for, which nothing else would tell that one is missing.

    Raises
    ------
    ValueError, BucketError
        The inbox cannot be looked into.
    """
    before = _Seen.read(context.cursor)
    removed = before.then(_paths(store)).removed
    arrived = new_dumps(store, inbox, settled_seconds) if inbox else []
    names, refused = register(store, [a for a in arrived if a.url not in removed])
    for words in refused:
        context.log.error(words)
    now = before.then(_paths(store))
    known = known_dumps(context.instance)
    new, gone = sorted(now.paths.keys() - known), sorted(before.paths.keys() - now.paths.keys())
    requests = [_request(store, key, f"{key}-{store.place(f'dumps/{key}.json').token()}") for key in new]
    if gone:
        requests.append(dg.RunRequest(job_name=JOINED_JOB, tags=SKIP))
    context.log.info(f"dumps: {len(now.paths)}, arrived: {names}, new to Dagster: {new}, removed: {gone}")
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else "; ".join(refused) or "no new dump",
        dynamic_partitions_requests=[
            repo_dumps.build_add_request(new),
            repo_dumps.build_delete_request(sorted(known & set(gone))),
        ],
        cursor=json.dumps(asdict(now)),
    )


def _paths(store: Store) -> dict[str, str]:
    return {d.name: d.path for d in dumps(store)}


@dataclass(frozen=True)
class _Seen:
    """What was there at a tick: dumps by name, and places of dumps that were removed while they lay in the inbox.

    A removed dump is not taken again for a new one; `cpp-pipeline dumps add` brings it back.
    """

    paths: dict[str, str]
    removed: list[str]

    @classmethod
    def read(cls, cursor: str | None) -> _Seen:
        return cls(**json.loads(cursor)) if cursor else cls({}, [])

    def then(self, paths: dict[str, str]) -> _Seen:
        gone = {*self.removed, *(path for name, path in self.paths.items() if name not in paths)}
        return _Seen(paths, sorted(gone - set(paths.values())))


def known_dumps(instance: dg.DagsterInstance) -> set[str]:
    """Dumps that are partitions in Dagster."""
    return set(instance.get_dynamic_partitions(repo_dumps.name or ""))


def every_dump(instance: dg.DagsterInstance, store: Store, occasion: str) -> Iterator[dg.RunRequest]:
    """A run for every dump that Dagster knows; asked again on the same occasion, the same runs."""
    for key in sorted(known_dumps(instance)):
        yield _request(store, key, f"{occasion}-{key}")


def _request(store: Store, key: str, run_key: str) -> dg.RunRequest:
    """A run of the data stages of one dump.

    What needs verdicts is left to its condition as long as the canaries have not passed.
    """
    names = [n for n, t in TABLES.items() if t.partitioned]
    if not store.is_checked(CANARIES, None, ["sandbox_is_right"]):
        names = [n for n in names if n not in JUDGED]
    keys = [dg.AssetKey(n) for n in names]
    return dg.RunRequest(run_key, job_name=DUMP_JOB, partition_key=key, asset_selection=keys, tags=SKIP)
