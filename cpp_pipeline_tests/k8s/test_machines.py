"""Shapes against the machines and disks that docs/operations.md gives them: a pod that fits nowhere waits for ever."""

import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from cpp_pipeline.launch.k8s.shapes import SHAPES, WATCH_SETTING, Shape, shape
from cpp_pipeline.settings import Settings
from cpp_pipeline_tests.k8s.machines import MACHINES, Pool, Room, placed, pools
from cpp_pipeline_tests.k8s.rendering import MANIFESTS, Object, of_kind, one, overlay_objects

WATCHING = "CPP_PIPELINE_WATCH_SHAPE"
SPOT = "cloud.google.com/gke-spot=true:NoSchedule"


def asked(found: Shape) -> Room:
    """What a pod of a shape asks for."""
    mib = 2**20
    return Room(
        float(parse_quantity(found.cpu)) * 1000,
        float(parse_quantity(found.memory)) / mib,
        float(parse_quantity(found.disk)) / mib,
    )


def all_shapes() -> dict[str, Shape]:
    """Every shape of the project, and the default of steps that watch."""
    return {**SHAPES, WATCHING: shape(Settings().watch_shape, WATCH_SETTING)}


def test_the_document_places_every_shape() -> None:
    assert placed().keys() == all_shapes().keys()
    assert pools().keys() == {"default-pool", "sandbox", "steps", "l4"}
    assert all(pool.machine in MACHINES for pool in (*pools().values(), *(pool for pool, _ in placed().values())))


@pytest.mark.parametrize("name", [*SHAPES, WATCHING])
def test_a_shape_fits_the_machine_that_it_is_given(name: str) -> None:
    found, (pool, share) = all_shapes()[name], placed()[name]
    need, room = asked(found), pool.room
    assert share * need.cpu <= room.cpu
    assert share * need.memory <= room.memory
    assert share * need.disk <= room.disk
    assert (pool.gpus, pool.accelerator) == (found.gpus, found.accelerator)


def test_the_formulas_give_what_gke_tells_of_its_nodes() -> None:
    """A 100 GB boot disk leaves 43.8 GiB: `allocatable: ephemeral-storage: 47060071478` of such nodes."""
    disk = Pool("n2-standard-8").room.disk / 1024
    assert disk == pytest.approx(47060071478 / 2**30, abs=0.2)
    assert disk < asked(SHAPES["cpu"]).disk / 1024
    sixteen = Pool("n2-standard-16", local_ssds=2).room
    assert sixteen.cpu == 15_890 - 500  # 15890m are allocatable of 16 cores
    assert sixteen.disk / 1024 > 500


def test_nothing_that_stays_lands_on_spot_machines() -> None:
    for name, pool in pools().items():
        assert ("--spot" in pool.flags) == (name != "default-pool")
        assert (f"--node-taints {SPOT}" in pool.flags) == (name != "default-pool")


def test_nodes_hold_what_the_bounds_allow(spot: list[Object]) -> None:
    data = one(spot, "ConfigMap", "cpp-pipeline")["data"]
    steps, share = placed()["cpu"]
    assert int(data["CPP_PIPELINE_MAX_CONCURRENT"]) <= steps.most_nodes * share
    watching, _ = placed()[WATCHING]
    values = yaml.safe_load((MANIFESTS / "dagster" / "values.yaml").read_text())
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["resources"]["requests"]
    runs, small = values["concurrency"]["runs"]["maxConcurrentRuns"], asked(all_shapes()[WATCHING])
    a_run = asked(Shape(run["cpu"], run["memory"], disk="0Gi"))
    # every step a check or one that watches, and the runs' own pods; half of a node is left to what is always on
    most = int(data["CPP_PIPELINE_MAX_CONCURRENT"])
    assert most * small.cpu + runs * a_run.cpu <= (watching.most_nodes - 0.5) * watching.room.cpu
    assert most * small.memory + runs * a_run.memory <= (watching.most_nodes - 0.5) * watching.room.memory
    assert most * small.disk <= (watching.most_nodes - 0.5) * watching.room.disk
    assert data["CPP_PIPELINE_WATCH_SHAPE"] == Settings().watch_shape


@pytest.mark.parametrize("name", ["gke-spot", "gke-ondemand"])
def test_nodes_hold_all_sandboxes_that_there_may_be(name: str) -> None:
    objects = overlay_objects(name)
    spec = one(objects, "SandboxTemplate", "cpp-sandbox")["spec"]["podTemplate"]["spec"]
    requests = [container["resources"]["requests"] for container in spec["containers"]]
    need = {key: float(sum(parse_quantity(r[key]) for r in requests)) for key in requests[0]}
    pool, mib = pools()["sandbox"], 2**20
    room = pool.room
    a_node = min(
        room.cpu // (need["cpu"] * 1000),
        room.memory // (need["memory"] / mib),
        room.disk // (need["ephemeral-storage"] / mib),
    )
    assert most_sandboxes(objects) <= a_node * pool.most_nodes
    (quota,) = (o for o in of_kind(objects, "ResourceQuota") if o["metadata"]["name"] == "sandbox")
    hard = quota["spec"]["hard"]
    assert most_sandboxes(objects) + most_controllers(objects) <= int(hard["pods"])
    assert most_sandboxes(objects) * need["cpu"] <= float(parse_quantity(hard["requests.cpu"]))
    assert most_sandboxes(objects) * need["memory"] <= float(parse_quantity(hard["requests.memory"]))


def most_controllers(objects: list[Object]) -> int:
    """Controllers while a new version of them is rolled out at full load."""
    surge = one(objects, "Deployment", "execution-controller")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    return int(one(objects, "HorizontalPodAutoscaler", "execution-controller")["spec"]["maxReplicas"]) + int(surge)


def most_sandboxes(objects: list[Object]) -> int:
    """Pods that wait in the pool, which is filled up behind claims, and pods that controllers hold."""
    (container,) = one(objects, "Deployment", "execution-controller")["spec"]["template"]["spec"]["containers"]
    (leases,) = (int(e["value"]) for e in container["env"] if e["name"] == "SANDBOX_POOL_LEASES")
    return int(one(objects, "SandboxWarmPool", "cpp-sandbox")["spec"]["replicas"]) + leases * most_controllers(objects)
