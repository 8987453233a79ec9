"""Real training in pods that are evicted and killed.

It ends well, with one writer at a time and the losses of an undisturbed run.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kubernetes import watch
from urllib3.exceptions import HTTPError

from cpp_pipeline.launch.k8s.launcher import KubernetesLauncher
from cpp_pipeline.launch.local import Launcher
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.folder_assets import folder_asset
from cpp_pipeline.storage.previews import checkpoint_facts
from cpp_pipeline.storage.store import Provenance, Store
from cpp_pipeline_tests.cluster import scheduling
from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.simulator import GPU, GPU_TAINT
from cpp_pipeline_tests.cluster.waiting import PATIENCE_SECONDS, evict, pods, wait_for
from cpp_pipeline_tests.models.material import make_shards, make_tokenizer

INDEX = "batch.kubernetes.io/job-completion-index"
NOTHING = "0" * 32
STEPS = 120
NO_HANG_SECONDS = 240.0


@folder_asset(
    "base_checkpoint",
    kind="checkpoints",
    group="models",
    kinds={"pytorch"},
    deps=["pretraining_corpus", "tokenizer"],
    code=["training/curves.py"],
    description="Smoke training.",
    shown=checkpoint_facts,
    resources=frozenset({"launcher"}),
)
def base_checkpoint(context: dg.AssetExecutionContext, work: Path) -> None:
    """Train as the real asset does, and save after every step."""
    launcher, store = context.resources.launcher, context.resources.storage.store
    arguments = {
        "shards": launcher.folder(store, "shards", "pretraining_corpus"),
        "tokenizer": launcher.folder(store, "checkpoints", "tokenizer"),
        "preset": "smoke",
        "steps": STEPS,
        "threads": 1,
        "checkpoint_seconds": 0.5,
    }
    launcher.run(context, "cpp_pipeline.training.base", arguments, work)


def fill(root: str) -> None:
    """A root with a tokenizer and shards."""
    store = Store(root)

    def publish(kind: str, name: str, make: Callable[[Path], Path]) -> None:
        folder = make(store.work(name, NOTHING) / "made")
        (folder / "result.json").write_text(json.dumps({"data_sha256": "0"}))
        store.publish(kind, folder, Provenance(name, None, "0", "0", "0", "0"))
        store.end_work(name, NOTHING)

    publish("checkpoints", "tokenizer", make_tokenizer)
    tokenizer = store.local_folder("checkpoints", "tokenizer")
    publish("shards", "pretraining_corpus", lambda folder: make_shards(folder, tokenizer))


def materialize(root: str, launcher: object) -> dg.ExecuteInProcessResult:
    resources = {"launcher": launcher, "storage": StoreResource(root=root)}
    return dg.materialize([base_checkpoint], resources=resources, raise_on_error=False)


Outcome = tuple[bytes, dict[str, Any]]


def outcome(root: str) -> Outcome:
    """Loss curve and result of the published checkpoint."""
    folder = Store(root).local_folder("checkpoints", "base_checkpoint")
    return (folder / "metrics.jsonl").read_bytes(), json.loads((folder / "result.json").read_text())


_KEPT: list[Outcome] = []


@pytest.fixture
def undisturbed(cluster: Cluster, kubeconfig: str, shared_root: str, tmp_path: Path) -> Outcome:
    """What training without any disturbance gives, once for all tests.

    It is a process of this machine, or of the real cluster, whose processors may round otherwise.
    """
    if not _KEPT:
        simulated = cluster.simulator is not None
        root = str(tmp_path / "undisturbed") if simulated else f"{shared_root}/undisturbed"
        fill(root)
        assert materialize(root, Launcher() if simulated else launcher(cluster, kubeconfig, root)).success
        _KEPT.append(outcome(root))
    return _KEPT[0]


@contextmanager
def writers(cluster: Cluster) -> Iterator[list[set[str]]]:
    """The sets of pods that ran at the same time, as the cluster's own events tell."""
    running: set[str] = set()
    seen: list[set[str]] = []
    stream = watch.Watch()

    def follow() -> None:
        with contextlib.suppress(HTTPError):  # the cluster goes before the watch ends
            for event in stream.stream(cluster.core.list_namespaced_pod, cluster.namespace, timeout_seconds=600):
                pod = event["object"]
                ended = pod.status.phase != "Running" or event["type"] == "DELETED"
                (running.discard if ended else running.add)(pod.metadata.name)
                seen.append(set(running))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stream.stop()


class Moment:
    """Points of a run at which it can be disturbed."""

    def __init__(self, cluster: Cluster, root: str, node: str) -> None:
        self.cluster, self.store, self.node = cluster, Store(root), node
        self.used: set[str] = set()

    def _mirrors(self) -> list[tuple[int, list[str]]]:
        """What each attempt has in storage, in their order."""
        found = []
        for name in sorted(self.store.place("jobs").files()):
            content = self.store.place(f"jobs/{name}").read() if name.endswith("/mirror.json") else None
            if content is not None:
                found.append((int(name.split("/")[-2]), list(json.loads(content)["files"])))
        return found

    def pod(self) -> str:
        """A pod that runs and was not disturbed yet."""

        def look() -> str:
            jobs = self.cluster.batch.list_namespaced_job(self.cluster.namespace).items
            listed = [p for j in jobs for p in pods(self.cluster, j.metadata.name)]
            listed = [p for p in listed if p.metadata.labels.get(INDEX, self.node) == self.node]
            living = [p.metadata.name for p in listed if p.status.phase == "Running"]
            return next((name for name in living if name not in self.used), "")

        name = wait_for(look)
        self.used.add(name)
        return name

    def starting(self) -> str:
        """A pod that has just begun: it fetches, or imports."""
        return self.pod()

    def training(self) -> str:
        """A pod whose training state is in storage."""
        before = max([0, *(number for number, _ in self._mirrors())])
        name = self.pod()

        def trains() -> bool:
            newest = [files for number, files in self._mirrors() if number > before]
            return bool(newest and any("state/" in f for f in newest[-1]))

        wait_for(trains)
        return name

    def committing(self) -> str:
        """A pod that has finished training and is about to say so."""
        name = self.pod()
        wait_for(lambda: any("model.safetensors" in files for _, files in self._mirrors()))
        return name


SMALL = "cpu+cpu=500m+memory=1Gi+disk=1Gi"


def launcher(cluster: Cluster, kubeconfig: str, root: str, **changes: Any) -> KubernetesLauncher:
    """One that looks often."""
    given = {"shape": SMALL, "config": kubeconfig, "tick_seconds": 1.0, "sync_seconds": 0.3, **changes}
    return KubernetesLauncher(root=root, namespace=cluster.namespace, image=cluster.image, **given)


def disturb(
    cluster: Cluster, kubeconfig: str, root: str, plan: list[tuple[str, str]], shape: str = SMALL, node: str = "0"
) -> dg.ExecuteInProcessResult:
    """Train in the cluster; at each moment of the plan evict the pod or kill it."""
    if "kill" in dict(plan).values():
        cluster.only_simulated()
    fill(root)
    # A process that starts ignores its signal, as the first one of a container does: on a fast machine it would have
    # trained to the end within 15 s.
    grace = 2 if "starting" in dict(plan) else 15
    used = launcher(cluster, kubeconfig, root, shape=shape, grace_seconds=grace)
    results: list[dg.ExecuteInProcessResult] = []
    thread = threading.Thread(target=lambda: results.append(materialize(root, used)))
    thread.start()
    moments = Moment(cluster, root, node)
    for moment, what in plan:
        choose: Callable[[], str] = getattr(moments, moment)
        name = choose()
        if what == "evict":
            evict(cluster, name)
        else:
            found = cluster.core.read_namespaced_pod(name, cluster.namespace)
            cluster.only_simulated().kubelet.kill(found.metadata.uid)
    started = time.monotonic()
    thread.join(max(NO_HANG_SECONDS, PATIENCE_SECONDS))
    assert not thread.is_alive(), f"still running {time.monotonic() - started:.0f} s after the last disturbance"
    return results[0]


PLANS = {
    "training": [("training", "evict")],
    "starting": [("starting", "evict")],
    "committing": [("committing", "evict")],
    "killed-committing": [("committing", "kill")],
    "again-and-again": [("training", "evict"), ("starting", "evict"), ("training", "evict")],
    "killed": [("training", "kill")],
    "killed-then-evicted": [("training", "kill"), ("training", "evict")],
}


@pytest.mark.slow  # commands that need no seconds to start are evicted in the tests of the launcher
@pytest.mark.parametrize(
    ("plan", "shared_root"),
    [(n, "gcs" if n == "training" else "") for n in PLANS],
    indirect=["shared_root"],
    ids=list(PLANS),
)
def test_training_survives(
    plan: str,
    cluster: Cluster,
    kubeconfig: str,
    shared_root: str,
    undisturbed: Outcome,
) -> None:
    with writers(cluster) as seen:
        result = disturb(cluster, kubeconfig, shared_root, PLANS[plan])
    assert result.success, [e.event_specific_data for e in result.get_step_failure_events()]
    curve, facts = outcome(shared_root)
    assert curve == undisturbed[0]
    assert facts["weights_sha256"] == undisturbed[1]["weights_sha256"]
    materialization = result.asset_materializations_for_node("base_checkpoint")[0]
    assert materialization.metadata["steps"].value == STEPS
    assert max(len(s) for s in seen) == 1
    if "committing" not in plan:  # there the grace period may suffice
        assert len(set().union(*seen)) > len(PLANS[plan])


@pytest.mark.slow
def test_processes_that_share_the_gpus_of_a_node_survive_too(
    cluster: Cluster, kubeconfig: str, shared_root: str, undisturbed: Outcome
) -> None:
    """The simulated GPUs are none: what is shown is torchrun in a pod, its end by a signal, and who writes."""
    simulator = cluster.only_simulated()
    simulator.nodes = (*simulator.nodes, scheduling.Node("gpu-1", gpus=2, labels=GPU, taints=(GPU_TAINT,)))
    simulator.kubelet.overrides["CPP_PIPELINE_GPUS"] = "0"  # else the command ends, for it sees none
    shape = "l4+gpus=2+cpu=500m+memory=2Gi+disk=1Gi+shm=100Mi"
    with writers(cluster) as seen:
        result = disturb(cluster, kubeconfig, shared_root, [("training", "evict")], shape)
    assert result.success, [e.event_specific_data for e in result.get_step_failure_events()]
    curve, facts = outcome(shared_root)
    assert facts["environment"]["processes"] == 2
    losses, alone = ([json.loads(line)["loss"] for line in c.splitlines()] for c in (curve, undisturbed[0]))
    assert losses[:5] == pytest.approx(alone[:5], rel=1e-4) and len(losses) == STEPS
    assert max(len(s) for s in seen) == 1 and len(set().union(*seen)) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "plan"), [("0", ("training", "evict")), ("1", ("training", "evict")), ("0", ("committing", "kill"))]
)
def test_several_nodes_survive_the_loss_of_one(
    node: str,
    plan: tuple[str, str],
    cluster: Cluster,
    kubeconfig: str,
    shared_root: str,
    undisturbed: Outcome,
) -> None:
    with writers(cluster) as seen:
        result = disturb(cluster, kubeconfig, shared_root, [plan], f"{SMALL}+nodes=2", node)
    assert result.success, [e.event_specific_data for e in result.get_step_failure_events()]
    curve, facts = outcome(shared_root)
    assert facts["environment"]["processes"] == 2
    losses, alone = ([json.loads(line)["loss"] for line in c.splitlines()] for c in (curve, undisturbed[0]))
    assert losses[:5] == pytest.approx(alone[:5], rel=1e-4) and len(losses) == STEPS
    for index in "01":
        assert max(len([p for p in s if p.split("-")[-2] == index]) for s in seen) == 1
    (job,) = cluster.batch.list_namespaced_job(cluster.namespace).items
    assert (job.status.failed or 0) <= (plan[1] == "kill")  # what the loss of one did to the other counts for nothing
