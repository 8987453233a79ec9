"""The resource by which assets run their commands as Jobs.

It has the methods of `launch.local.Launcher`, so that an asset does not know which of the two it was given. Inputs
are named by where they lie in storage and fetched inside the pod; the output comes back into the asset's own work
folder when the Job has committed it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from cpp_pipeline.launch import remote_files
from cpp_pipeline.launch.k8s.api import Cluster
from cpp_pipeline.launch.k8s.client import PipesK8sJobClient
from cpp_pipeline.launch.k8s.findings import end_of
from cpp_pipeline.launch.k8s.manifest import JobRequest, manifests, worker_command
from cpp_pipeline.launch.k8s.refusals import refuse_local_root, refuse_loopback, refuse_several_gpus
from cpp_pipeline.launch.k8s.shapes import shape_for
from cpp_pipeline.launch.k8s.watching import IDENTITY
from cpp_pipeline.launch.local import Join, flags
from cpp_pipeline.launch.remote_entry import INPUT, OUTPUT
from cpp_pipeline.storage.store import Store

RUN_LABEL, WORK_LABEL = "dagster/run-id", "cpp-pipeline/work"
_GONE_SECONDS = 600.0


class KubernetesLauncher(dg.ConfigurableResource[None]):
    """Runs `python -m MODULE ...` as a Job; every field is a setting `CPP_PIPELINE_K8S_<FIELD>`, but the root."""

    root: str
    namespace: str
    image: str
    shape: str
    service_account: str = ""
    queue: str = ""
    config: str = ""
    sandbox_secret: str = ""
    """Secret whose key `token` is the sandbox's bearer token."""
    pending_seconds: float = 1800.0
    tick_seconds: float = 5.0
    sync_seconds: float = 20.0
    """Time between two copies of a pod's output, and so what a lost node costs at most."""
    grace_seconds: int = 15
    in_pod: bool = False
    """This is the pod of a run or step itself, see `PipesK8sJobClient`."""
    parts: int = 1
    """Pods that share the work of a command that can be split."""

    def folder(self, store: Store, kind: str, asset: str) -> UPath:
        """A finished folder, for a command: where it lies in storage."""
        return store.folder(kind, asset)

    def table(self, store: Store, asset: str) -> UPath | Path:
        """A whole table, for a command: where it lies, or a copy of a partitioned one."""
        return store.whole_table(asset) or store.local_table(asset)

    def run(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Mapping[str, object],
        output: Path,
        join: Join | None = None,
    ) -> dict[str, Any]:
        """Run `module` in the cluster until its result is committed, and fetch that into `output`.

        A result that an earlier run committed and did not get to publish is used as it is. A command that
        has a `join` is run as `parts` pods.

        Raises
        ------
        dagster.Failure
            The Job failed; see `PipesK8sJobClient`.
        ClusterError
            The cluster cannot be reached, or refuses; names the setting.
        """
        parts = self.parts if join is not None else 1
        if not (output / remote_files.COMMIT).exists():
            job = self.job_folder(Store(self.place_of_root()).job_folder(output), parts)
            folders = [job] if parts == 1 else [job / "parts" / f"{n:05d}" for n in range(parts)]
            if not _all_committed(folders):
                self._run_job(context, module, arguments, job, folders)
            _collect(folders, output, join if parts > 1 else None)
        return dict(json.loads((output / remote_files.COMMIT).read_text()))

    @staticmethod
    def job_folder(folder: UPath, parts: int) -> UPath:
        """Where the work is kept: parts of one division are no parts of another."""
        return folder if parts == 1 else folder / f"of-{parts}"

    def _run_job(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Mapping[str, object],
        job: UPath,
        folders: Sequence[UPath],
    ) -> None:
        places = self.places(arguments, job)
        request = self.request(context, module, places, job, len(folders))
        cluster = Cluster(self.namespace, self.config)
        refuse_loopback(arguments, cluster.host)
        refuse_local_root(self.root, cluster.host)
        if earlier := self._end_others(context, cluster, request):
            request = self.request(context, module, places, job, len(folders), earlier)
        self._stage(arguments, job)
        client = PipesK8sJobClient(cluster, self.pending_seconds, self.tick_seconds, in_pod=self.in_pod)
        client.run(context=context, manifests=manifests(request), is_done=lambda: _all_committed(folders))

    def request(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Mapping[str, object],
        job: UPath,
        parts: int = 1,
        name: str = "",
    ) -> JobRequest:
        """The Job for a command whose inputs lie in storage. Nothing is read or written."""
        asset, shape = context.op_def.name, shape_for(self.shape, context.op_def.name)
        refuse_several_gpus(module, shape, self.shape)
        run_id = context.run.run_id
        name = name or job_name(asset, run_id, context.retry_number)
        inputs = {k: v for k, v in arguments.items() if isinstance(v, Path | UPath)}
        local = {k: f"{INPUT}{k}" if k in inputs else v for k, v in arguments.items()}
        index = "$(JOB_COMPLETION_INDEX)"
        local |= {"part": f"{index}/{parts}"} if parts > 1 else {}
        worker = worker_command(module, [*flags(local), "--output", OUTPUT], shape, name)
        entry = ["python", "-m", "cpp_pipeline.launch.remote_entry", "--job", str(job), "--pod=$(POD_NAME)"]
        entry += [f"--sync_seconds={self.sync_seconds:g}", *(f"--input={k}={v}" for k, v in inputs.items())]
        entry += [f"--node={index}"] if shape.nodes > 1 else [f"--part={index}"] if parts > 1 else []
        command = [*entry, "--", *worker]
        threads = str(max(1, int(_cores(shape.cpu) / max(1, shape.gpus))))
        return JobRequest(
            name=name,
            namespace=self.namespace,
            image=self.image,
            command=command,
            shape=shape,
            labels={RUN_LABEL: run_id, "dagster/op": asset[:63], WORK_LABEL: _hash(str(job))},
            # not the Job's own name, which a retry changes
            annotations={IDENTITY: _hash([self.image, module, str(job), sorted(local.items(), key=str)])},
            env={"OMP_NUM_THREADS": threads},
            secrets={"SANDBOX_TOKEN": (self.sandbox_secret, "token")} if self.sandbox_secret else {},
            service_account=self.service_account,
            queue=self.queue,
            parts=parts if parts > 1 else 0,
            grace_seconds=self.grace_seconds,
        )

    def place_of_root(self) -> str:
        """The storage root, of a local one the absolute path."""
        return self.root if "://" in self.root else str(Path(self.root).absolute())

    def places(self, arguments: Mapping[str, object], job: UPath) -> dict[str, object]:
        """The arguments, with inputs as pods find them: where they lie in storage, or staged in the job's folder."""
        found = dict(arguments)
        for key, value in arguments.items():
            if isinstance(value, Path | UPath):
                staged = job / "inputs" / f"{key}{value.suffix}"
                found[key] = _absolute(value) if self._is_stored(value) else staged
        return found

    def _is_stored(self, value: Path | UPath) -> bool:
        # by their text: a path of this machine cannot be compared with a URL
        return f"{_absolute(value)}/".startswith(f"{self.place_of_root().rstrip('/')}/")

    def _stage(self, arguments: Mapping[str, object], job: UPath) -> None:
        """Put files into storage that only this machine has."""
        for key, place in self.places(arguments, job).items():
            value = arguments[key]
            if isinstance(value, Path) and isinstance(place, UPath) and not self._is_stored(value):
                for file in [value] if value.is_file() else sorted(p for p in value.rglob("*") if p.is_file()):
                    remote_files.put(file, place / file.relative_to(value).as_posix() if file != value else place)

    def _end_others(self, context: dg.AssetExecutionContext, cluster: Cluster, request: JobRequest) -> str:
        """See that no other Job is at the same work: two would share its training state.

        Returns the name of the one that an earlier try of this step has left at it, whose process was killed.
        """
        own = context.run.run_id
        selector = f"{WORK_LABEL}={request.labels[WORK_LABEL]}"
        deadline = time.monotonic() + _GONE_SECONDS
        while others := [j for j in cluster.jobs(selector) if j["metadata"]["name"] != request.name and not end_of(j)]:
            for other in others:
                name, run_id = other["metadata"]["name"], other["metadata"]["labels"].get(RUN_LABEL, "")
                is_going = "deletionTimestamp" not in other["metadata"]
                is_same = other["metadata"].get("annotations", {}).get(IDENTITY) == request.annotations[IDENTITY]
                if run_id == own and is_going and is_same:
                    return str(name)
                run = context.instance.get_run_by_id(run_id)
                if run_id != own and (run is None or not run.is_finished):
                    raise dg.Failure(
                        f"Job {name} of run {run_id} is at the same work: wait for it, or delete it with "
                        f"`kubectl delete job {name} --namespace {self.namespace}`"
                    )
                if is_going:
                    context.log.warning(f"run {run_id} has left Job {name} behind: deleting it")
                    cluster.delete_job(name)
            if time.monotonic() > deadline:
                raise dg.Failure(f"Job {others[0]['metadata']['name']} does not end; see its pods")
            time.sleep(min(1.0, self.tick_seconds))
        return ""


def _all_committed(folders: Sequence[UPath]) -> bool:
    return all(remote_files.committed(folder) is not None for folder in folders)


def _collect(folders: Sequence[UPath], output: Path, join: Join | None) -> None:
    """Fetch what was committed into the output folder."""
    if join is None:
        remote_files.collect(folders[0], output)
        return
    parts = [output / "parts" / folder.name for folder in folders]
    for folder, part in zip(folders, parts, strict=True):
        remote_files.collect(folder, part)
    join(parts, output)
    shutil.rmtree(output / "parts")


def _absolute(value: Path | UPath) -> UPath:
    return UPath(value.absolute()) if isinstance(value, Path) else value


def job_name(asset: str, run_id: str, retry: int) -> str:
    """The name of the Job of one try of a run at an asset: the same whenever it is asked for."""
    readable = re.sub(r"[^a-z0-9]+", "-", asset.lower()).strip("-0123456789")[:35] or "job"
    return f"{readable}-{_hash([run_id, asset, retry])}"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]


def _cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
