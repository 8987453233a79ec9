"""Steps of Dagster runs as pods: real runs whose steps the cluster starts, loses and bounds."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from cpp_pipeline.launch.k8s.executor import refuse_unusable_cluster
from cpp_pipeline.settings import Settings
from cpp_pipeline_tests.cluster.fixtures import IMAGE, Cluster
from cpp_pipeline_tests.cluster.waiting import wait_for
from cpp_pipeline_tests.launch.k8s import stepping

PROJECT = Path(__file__).resolve().parents[3]


def launcher(cluster: Cluster, kubeconfig: str, home: str, env: dict[str, str]) -> dict[str, Any]:
    """The run launcher of an instance, which steps inherit from."""
    return {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "service_account_name": "default",
            "instance_config_map": "dagster-instance",
            "dagster_home": home,
            "job_namespace": cluster.namespace,
            "job_image": IMAGE,
            "load_incluster_config": False,
            "kubeconfig_file": kubeconfig,
            "env_vars": [f"{name}={value}" for name, value in env.items()],
        },
    }


@pytest.fixture
def environment(
    cluster: Cluster, kubeconfig: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Variables of the runs and of their steps."""
    cluster.only_simulated()  # pods and test share a folder
    env = {
        "CPP_PIPELINE_K8S_IMAGE": IMAGE,
        "CPP_PIPELINE_K8S_NAMESPACE": cluster.namespace,
        "CPP_PIPELINE_K8S_CONFIG": kubeconfig,
        "CPP_PIPELINE_STEP_SHAPE": "cpu+cpu=100m+memory=64Mi+disk=1Gi",
        "CPP_PIPELINE_MAX_CONCURRENT": "2",
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
        stepping.FOLDER: str(tmp_path / "shared"),
    }
    (tmp_path / "shared").mkdir()
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    yield env


@pytest.fixture
def instance(
    cluster: Cluster, kubeconfig: str, environment: dict[str, str], tmp_path: Path
) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on disk, which the pods open as well."""
    home = tmp_path / "home"
    home.mkdir()
    overrides = {
        "run_launcher": launcher(cluster, kubeconfig, str(home), environment),
        "concurrency": {"runs": {"max_concurrent_runs": 1}},
        "telemetry": {"enabled": False},
    }
    with dg.instance_for_test(overrides=overrides, temp_dir=str(home)) as made:
        yield made


def granted(*roles: str) -> dict[str, tuple[str, ...]]:
    """What Roles of `k8s/` allow together."""
    found: dict[str, tuple[str, ...]] = {}
    for role in yaml.safe_load_all((PROJECT / "k8s" / "base" / "roles.yaml").read_text()):
        if role["kind"] == "Role" and role["metadata"]["name"] in roles:
            for rule in role["rules"]:
                for resource in rule["resources"]:
                    found[resource] = (*found.get(resource, ()), *rule["verbs"])
    return found


def events(environment: dict[str, str]) -> list[str]:
    """What the steps have told so far."""
    log = Path(environment[stepping.FOLDER]) / "log"
    return log.read_text().splitlines() if log.exists() else []


def lose(cluster: Cluster, environment: dict[str, str], name: str, labels: str) -> None:
    """Take away the pod of a step that has begun, as a node that goes does."""
    wait_for(lambda: f"begin {name}" in events(environment))
    (pod,) = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=labels).items
    cluster.core.delete_namespaced_pod(pod.metadata.name, cluster.namespace, grace_period_seconds=0)
    with (Path(environment[stepping.FOLDER]) / "log").open("a") as out:
        out.write(f"lost {name}\n")


def run(job: Callable[[], dg.JobDefinition], instance: dg.DagsterInstance, partition: str = "") -> bool:
    """A run, from this process; its steps are pods."""
    tags = {"dagster/partition": partition} if partition else {}
    with dg.execute_job(dg.reconstructable(job), instance, tags=tags, raise_on_error=False) as result:
        return result.success


@pytest.mark.slow
def test_a_lost_pod_costs_its_own_partition(
    cluster: Cluster, instance: dg.DagsterInstance, environment: dict[str, str]
) -> None:
    stuck = Path(environment[stepping.FOLDER]) / "stuck-b"
    stuck.touch()
    ended: dict[str, bool] = {}

    def one(key: str) -> None:
        ended[key] = run(stepping.dumps, instance, key)

    # Never two runs in threads of one process: Dagster sets up logging for each, and they wait for each other's locks.
    thread = threading.Thread(target=one, args=("b",))
    thread.start()
    wait_for(lambda: "begin b" in events(environment))
    of_b = next(r for r in instance.get_runs() if r.tags["dagster/partition"] == "b")
    lose(cluster, environment, "b", f"dagster/run-id={of_b.run_id}")
    thread.join(120)
    one("c")
    assert ended == {"b": False, "c": True}
    assert instance.get_materialized_partitions(dg.AssetKey("files")) == {"c"}


@pytest.mark.slow
def test_at_most_so_many_pods_and_a_lost_one_is_started_anew(
    cluster: Cluster, instance: dg.DagsterInstance, environment: dict[str, str]
) -> None:
    cluster.only_simulated().allowed = granted("runs", "launch")
    stuck = Path(environment[stepping.FOLDER]) / "stuck-one"
    stuck.touch()
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(run(stepping.sides, instance)))
    thread.start()
    wait_for(lambda: "begin one" in events(environment))
    stuck.unlink()
    lose(cluster, environment, "one", "dagster/op=one")
    thread.join(180)
    assert ended == [True]
    told = events(environment)
    assert (told.count("begin one"), told.count("end one")) == (2, 1)
    assert (told.count("begin two"), told.count("begin three")) == (1, 1)
    jobs = cluster.batch.list_namespaced_job(
        cluster.namespace, label_selector="app.kubernetes.io/component=step_worker"
    )
    assert len(jobs.items) == 4
    assert most_at_a_time(told) <= 2


def most_at_a_time(told: list[str]) -> int:
    """How many steps were at work at once, by what they told; one that was lost is at work no more."""
    running = most = 0
    for line in told:
        running += 1 if line.startswith("begin") else -1
        most = max(most, running)
    return most


def apart(name: str, home: Path) -> subprocess.Popen[bytes]:
    """A function of `stepping` in a process of its own, as a run's pod."""
    command = [sys.executable, "-c", f"from {stepping.__name__} import {name}; {name}()"]
    return subprocess.Popen(command, env={**os.environ, "DAGSTER_HOME": str(home)}, cwd=PROJECT)


@pytest.mark.slow
def test_a_run_that_lost_its_own_pod_is_taken_up_again(
    instance: dg.DagsterInstance, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its pod goes while one step is at work and another has ended; no step begins a second time."""
    stuck = Path(environment[stepping.FOLDER]) / "stuck-one"
    stuck.touch()
    first = apart("run_sides", tmp_path / "home")
    wait_for(lambda: "begin one" in events(environment) and any(e.startswith("end") for e in events(environment)))
    first.kill()
    first.wait()
    stuck.unlink()
    assert apart("take_up", tmp_path / "home").wait(300) == 0
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
    assert sorted(e for e in events(environment) if e.startswith("begin")) == ["begin one", "begin three", "begin two"]


@pytest.mark.slow
def test_two_runs_share_the_bound(
    cluster: Cluster, kubeconfig: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Two runs, each in a process of its own as in pods of their own: their six steps are never more than two."""
    home = tmp_path / "queued"
    home.mkdir()
    overrides = {
        "run_launcher": launcher(cluster, kubeconfig, str(home), environment),
        "concurrency": {"runs": {"max_concurrent_runs": 2}},
        "telemetry": {"enabled": False},
    }
    with dg.instance_for_test(overrides=overrides, temp_dir=str(home)):
        runs = [apart("run_sides", home) for _ in range(2)]
        assert [run.wait(300) for run in runs] == [0, 0]
    told = events(environment)
    assert len([line for line in told if line.startswith("end")]) == 6
    assert most_at_a_time(told) == 2


@pytest.mark.parametrize(
    ("denied", "namespace", "words"),
    [
        (("create", "jobs"), "", ["forbidden", "CPP_PIPELINE_K8S_NAMESPACE"]),
        (None, "no-such-namespace", ["no-such-namespace", "CPP_PIPELINE_K8S_NAMESPACE"]),
    ],
)
def test_a_cluster_that_refuses_is_told_before_the_first_step(
    cluster: Cluster, kubeconfig: str, denied: tuple[str, str] | None, namespace: str, words: list[str]
) -> None:
    if denied:
        cluster.only_simulated().denied.add(denied)
    settings = Settings(k8s_image=IMAGE, k8s_namespace=namespace or cluster.namespace, k8s_config=kubeconfig)
    with pytest.raises(dg.Failure) as caught:
        refuse_unusable_cluster(settings, 2.0)
    assert all(word in str(caught.value.description) for word in ["CPP_PIPELINE_EXECUTOR=k8s", *words])
    assert cluster.batch.list_namespaced_job(cluster.namespace).items == []


def test_an_api_server_that_is_away_is_told(tmp_path: Path, cluster: Cluster, kubeconfig: str) -> None:
    simulator = cluster.only_simulated()
    away = {**simulator.kubeconfig()}
    away["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    path = tmp_path / "away"
    path.write_text(json.dumps(away))
    settings = Settings(k8s_image=IMAGE, k8s_namespace=cluster.namespace, k8s_config=str(path))
    with pytest.raises(dg.Failure, match=r"cannot be reached.*CPP_PIPELINE_K8S_CONFIG"):
        refuse_unusable_cluster(settings, 1.0)
    with pytest.raises(dg.Failure, match="CPP_PIPELINE_K8S_CONFIG"):
        refuse_unusable_cluster(Settings(k8s_image=IMAGE, k8s_config=str(tmp_path / "none")), 1.0)


def test_the_check_makes_nothing(cluster: Cluster, kubeconfig: str) -> None:
    settings = Settings(k8s_image=IMAGE, k8s_namespace=cluster.namespace, k8s_config=kubeconfig, root="gs://b/p")
    refuse_unusable_cluster(settings, 5.0)
    assert cluster.batch.list_namespaced_job(cluster.namespace).items == []


def test_an_instance_without_the_run_launcher_is_told(environment: dict[str, str]) -> None:
    with dg.instance_for_test() as plain, pytest.raises(dg.Failure, match="CPP_PIPELINE_EXECUTOR=k8s.*K8sRunLauncher"):
        run(stepping.sides, plain)
