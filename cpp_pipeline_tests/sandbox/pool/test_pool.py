"""Work goes to leased pods; what happens to pods happens to no verdict."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import cpp_pipeline
from cpp_pipeline.sandbox.__main__ import main
from cpp_pipeline.sandbox.client import SandboxClient
from cpp_pipeline.sandbox.controller.service import Service
from cpp_pipeline.sandbox.pool.claims import RIGHTS, Claimed, Claims, Owner, PoolEmpty, PoolError
from cpp_pipeline.sandbox.pool.judge import PoolJudge
from cpp_pipeline.sandbox.pool.leases import Terms
from cpp_pipeline.sandbox.types import Job
from cpp_pipeline_tests.cluster.fixtures import Cluster, cluster
from cpp_pipeline_tests.cluster.manifests import pod_spec
from cpp_pipeline_tests.cluster.pools import NAME, listed, make_pool, need_pod_network
from cpp_pipeline_tests.cluster.waiting import wait_for
from cpp_pipeline_tests.sandbox.controller.stand_in import StandIn, served

__all__ = ["cluster"]
UNPULLABLE = "registry.invalid/judge@sha256:" + "0" * 64


def job(code: str, id: str = "a") -> Job:
    return Job(id, code, "int f(int a)", [{"args": [1], "expected": 1}])


def claims(cluster: Cluster, **more: Any) -> Claims:
    return Claims(cluster.namespace, NAME, more.pop("seconds", 600.0), api=cluster.api, **more)


@contextlib.contextmanager
def judging(cluster: Cluster, **terms: Any) -> Iterator[PoolJudge]:
    need_pod_network(cluster)
    judge = PoolJudge(claims(cluster), Terms(**{"most": 2, "again_seconds": 0.2, **terms}))
    try:
        wait_for(lambda: judge.wait_seconds() == 0)
        yield judge
    finally:
        judge.close()


def pods_of(judge: PoolJudge, *codes: str) -> list[str]:
    """Which pod judged which job."""
    return [result.stdout for result in judge.batch([job(code) for code in codes])]


def test_a_leased_pod_is_used_again_and_given_back_at_the_end(cluster: Cluster) -> None:
    make_pool(cluster)
    with judging(cluster, most=1) as judge:  # of two, a slow machine leases the second for the first batch
        results = list(judge.batch([job("", "a"), job("", "b"), job("", "a")]))
        assert sorted((r.id, r.verdict) for r in results) == [("a", "AC"), ("a", "AC"), ("b", "AC")]
        assert judge.capabilities()["isolation"]["backend"] == "pretended"
        first = pods_of(judge, "")
        assert pods_of(judge, "") == first
        assert {c["status"]["sandbox"]["name"] for c in listed(cluster, "sandboxclaims")} >= set(first)
        assert judge.metrics.value("sandbox_results_total") == 5
    assert listed(cluster, "sandboxclaims") == []


def test_batches_side_by_side_get_pods_of_their_own(cluster: Cluster) -> None:
    make_pool(cluster, 2)
    with judging(cluster) as judge, ThreadPoolExecutor(2) as threads:
        for _ in range(10):  # the second pod is claimed when the first is found busy
            used = list(threads.map(lambda _: pods_of(judge, "slow", "slow"), range(2)))
            if len({name for names in used for name in names}) == 2:
                break
        assert len({name for names in used for name in names}) == 2
        assert judge.metrics.value("sandbox_pool_claims_total") == 2


def test_jobs_of_a_pod_that_dies_are_judged_by_another(cluster: Cluster) -> None:
    make_pool(cluster)
    with judging(cluster) as judge:
        (first,) = pods_of(judge, "")
        results = list(judge.batch([job("", "x"), job(f"die {first}", "y"), job("", "z")]))
        assert {r.id: (r.verdict, r.error) for r in results} == dict.fromkeys("xyz", ("AC", None))
        assert first not in {r.stdout for r in results}
        assert first not in {
            c.get("status", {}).get("sandbox", {}).get("name") for c in listed(cluster, "sandboxclaims")
        }


def test_a_job_that_ends_every_pod_is_lost_and_has_no_verdict(cluster: Cluster) -> None:
    make_pool(cluster)
    with judging(cluster) as judge:
        (result,) = judge.batch([job("die")])
        assert (result.verdict, str(result.error).split(":")[0]) == (None, "worker_lost")
        wait_for(lambda: judge.wait_seconds() == 0)
        assert [r.verdict for r in judge.batch([job("")])] == ["AC"]


def test_an_empty_pool_is_a_429_that_says_when_to_come_again(cluster: Cluster) -> None:
    make_pool(cluster, 1, UNPULLABLE)
    judge = PoolJudge(claims(cluster), Terms(most=1, claim_seconds=1.0, again_seconds=3.0))
    with served(Service(judge)) as url:
        wait_for(lambda: judge.metrics.value("sandbox_pool_claims_total") >= 1)
        body = {"code": "", "prototype": "int f(int a)", "test_cases": [{"args": [1], "expected": 1}]}
        refused = httpx.post(f"{url}/execute", json=body, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["kind"]) == (429, "pool_exhausted")
        assert refused.json()["error"]["retryable"] and 1 <= int(refused.headers["Retry-After"]) <= 10
        (result,) = judge.batch([job("")])
        assert (result.verdict, str(result.error).split(":")[0]) == (None, "pool_exhausted")
    assert listed(cluster, "sandboxclaims") == []


def test_a_client_waits_until_the_pool_has_a_pod(cluster: Cluster) -> None:
    need_pod_network(cluster)
    judge = PoolJudge(claims(cluster), Terms(most=1, again_seconds=0.2))
    with served(Service(judge)) as url, SandboxClient(url) as client, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.batch_verify, [job("")])
        wait_for(lambda: judge.metrics.value("sandbox_rejected_total") >= 1)
        make_pool(cluster)
        assert [r.verdict for r in asked.result()] == ["AC"]


def test_a_pod_that_starts_longer_than_work_waits_serves_work_that_comes_later(cluster: Cluster) -> None:
    need_pod_network(cluster)
    make_pool(cluster, 0, starts_seconds=4.0)
    judge = PoolJudge(claims(cluster), Terms(most=1, patience_seconds=0.5, again_seconds=0.2))
    with served(Service(judge)) as url, SandboxClient(url) as client:
        (result,) = judge.batch([job("")])
        assert (result.verdict, str(result.error).split(":")[0]) == (None, "pool_exhausted")
        body = {"code": "", "prototype": "int f(int a)", "test_cases": [{"args": [1], "expected": 1}]}
        refused = httpx.post(f"{url}/execute", json=body, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["kind"]) == (429, "pool_exhausted")
        assert int(refused.headers["Retry-After"]) >= 1
        (claim,) = listed(cluster, "sandboxclaims")
        assert [r.verdict for r in client.batch_verify([job("")])] == ["AC"]
        assert [c["metadata"]["uid"] for c in listed(cluster, "sandboxclaims")] == [claim["metadata"]["uid"]]
        assert judge.metrics.value("sandbox_pool_claims_total") == 1


def test_a_claim_made_while_the_controller_stops_is_removed(cluster: Cluster) -> None:
    make_pool(cluster)
    source = claims(cluster)
    source.abandon()
    with pytest.raises(PoolError, match="stopping"):
        source.claim(60.0)
    assert listed(cluster, "sandboxclaims") == []


def test_the_time_of_a_claim_begins_when_its_pod_may_be_ready(cluster: Cluster) -> None:
    make_pool(cluster)
    before = datetime.now(UTC).replace(microsecond=0)
    claims(cluster, seconds=600.0).claim(5000.0)
    (claim,) = listed(cluster, "sandboxclaims")
    until = datetime.fromisoformat(claim["spec"]["lifecycle"]["shutdownTime"])
    assert until - before >= timedelta(seconds=5600)


class OnePod:
    """A pool with one pod; whoever claims more waits until the controller stops."""

    def __init__(self) -> None:
        self.left, self.given_back, self.stopping = ["only"], list[str](), threading.Event()

    def claim(self, seconds: float) -> Claimed:
        try:
            return Claimed(self.left.pop(), "127.0.0.1")
        except IndexError:
            self.stopping.wait(seconds)
            raise PoolEmpty("no pod became ready in time") from None

    def abandon(self) -> None:
        self.stopping.set()

    def give_back(self, name: str) -> None:
        self.given_back.append(name)

    def left_over(self) -> list[str]:
        return []


def test_claims_that_wait_for_minutes_do_not_keep_pods_from_being_given_back() -> None:
    source = OnePod()
    with served(Service(StandIn())) as url:
        judge = PoolJudge(source, Terms(least=9, most=9, uses=1), port=int(url.rpartition(":")[2]))
        try:
            wait_for(lambda: judge.wait_seconds() == 0)
            assert [r.verdict for r in judge.batch([job("")])] == ["AC"]
            assert wait_for(lambda: source.given_back) == ["only"]
        finally:
            judge.close()
    assert source.given_back == ["only"]


def test_a_lease_ends_after_its_uses_and_after_its_time(cluster: Cluster) -> None:
    make_pool(cluster, 2)
    with judging(cluster, uses=2) as judge:
        used = [pods_of(judge, "")[0] for _ in range(5)]
        assert [len(set(used[at : at + 2])) for at in (0, 2)] == [1, 1] and len(set(used)) == 3
    with judging(cluster, seconds=0.5) as judge:
        first = pods_of(judge, "")
        time.sleep(0.6)
        wait_for(lambda: judge.metrics.value("sandbox_pool_retired_total") >= 1 and judge.wait_seconds() == 0)
        assert pods_of(judge, "") != first


def test_orphans_go_by_the_next_start_or_with_their_owner_or_in_time(cluster: Cluster) -> None:
    make_pool(cluster, 1)
    left = claims(cluster).claim(60.0).claim
    with judging(cluster) as judge:
        assert left not in {c["metadata"]["name"] for c in listed(cluster, "sandboxclaims")}
        assert [r.verdict for r in judge.batch([job("")])] == ["AC"]
    body = {"metadata": {"name": "controller"}, "spec": pod_spec(cluster.image, "import time; time.sleep(600)")}
    owner = cluster.core.create_namespaced_pod(cluster.namespace, body)
    mine = claims(cluster, owner=Owner("controller", owner.metadata.uid))
    mine.claim(60.0)
    cluster.core.delete_namespaced_pod("controller", cluster.namespace, grace_period_seconds=0)
    wait_for(lambda: not listed(cluster, "sandboxclaims"))
    with pytest.raises(PoolError):
        claims(cluster, seconds=-1000.0).claim(60.0)  # its time is over before it begins
    assert listed(cluster, "sandboxclaims") == []


def test_the_rights_suffice_and_a_missing_one_names_the_setting(cluster: Cluster) -> None:
    simulator = cluster.only_simulated()
    make_pool(cluster)
    simulator.allowed = dict(RIGHTS)
    with judging(cluster) as judge:
        assert [r.verdict for r in judge.batch([job("")])] == ["AC"]
    simulator.allowed = {}
    for ask in (lambda: claims(cluster).claim(5.0), claims(cluster).left_over):
        with pytest.raises(PoolError, match="403.*SANDBOX_POOL_NAMESPACE"):
            ask()


def test_a_pool_that_is_not_there_or_not_ready_is_told_apart(cluster: Cluster) -> None:
    with pytest.raises(PoolError, match="SANDBOX_POOL names") as missing:
        claims(cluster).claim(60.0)
    assert not isinstance(missing.value, PoolEmpty)
    make_pool(cluster, 1, UNPULLABLE)
    with pytest.raises(PoolEmpty, match=f"pool {NAME} in namespace {cluster.namespace}"):
        claims(cluster).claim(1.0)
    assert listed(cluster, "sandboxclaims") == []


def test_an_api_server_that_is_away_is_named(cluster: Cluster) -> None:
    simulator = cluster.only_simulated()
    simulator.broken = True
    with pytest.raises(PoolError, match="503"):
        claims(cluster).left_over()


def test_the_command_names_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cluster: Cluster
) -> None:
    serve = ["serve", "--port", "0", "--backend", "agent-sandbox"]
    monkeypatch.delenv("SANDBOX_POOL", raising=False)
    assert main(serve) == 2
    assert "SANDBOX_POOL" in capsys.readouterr().err
    monkeypatch.setenv("SANDBOX_POOL", NAME)
    monkeypatch.setenv("SANDBOX_POOL_USES", "0")
    assert main(serve) == 2
    assert "SANDBOX_POOL_USES" in capsys.readouterr().err
    monkeypatch.delenv("SANDBOX_POOL_USES")
    monkeypatch.setenv("SANDBOX_POOL_CLAIM_SECONDS", "0")
    assert main(serve) == 2
    assert "SANDBOX_POOL_CLAIM_SECONDS=0" in capsys.readouterr().err
    monkeypatch.delenv("SANDBOX_POOL_CLAIM_SECONDS")
    monkeypatch.setenv("CPP_PIPELINE_K8S_CONFIG", "/nonexistent/config")
    assert main(serve) == 1
    assert "CPP_PIPELINE_K8S_CONFIG" in capsys.readouterr().err


def test_a_controller_that_is_told_to_stop_gives_every_pod_back(cluster: Cluster, tmp_path: Path) -> None:
    simulator = cluster.only_simulated()
    make_pool(cluster, 2)
    config = tmp_path / "config"
    config.write_text(json.dumps(simulator.kubeconfig()))
    settings = {
        "SANDBOX_POOL": NAME,
        "SANDBOX_POOL_NAMESPACE": cluster.namespace,
        "CPP_PIPELINE_K8S_CONFIG": str(config),
        "PATH": os.environ["PATH"],
    }
    repository = Path(cpp_pipeline.__path__[0]).parent
    command = [sys.executable, "-m", "cpp_pipeline.sandbox", "serve", "--port", "0", "--backend", "agent-sandbox"]
    process = subprocess.Popen(command, env=settings, cwd=repository, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[1]
        with SandboxClient(url) as client:
            assert [r.verdict for r in client.batch_verify([job("")])] == ["AC"]
        assert len(listed(cluster, "sandboxclaims")) == 1
        process.terminate()
        assert process.wait(60) == 0
        assert listed(cluster, "sandboxclaims") == []
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
