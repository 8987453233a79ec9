"""Patience with an API server, and what is told of one that does not answer or refuses."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from cpp_pipeline.launch.k8s.api import Cluster as Api
from cpp_pipeline.launch.k8s.api import ClusterError
from cpp_pipeline_tests.cluster.account import kubeconfig as config_of
from cpp_pipeline_tests.cluster.fixtures import Cluster
from cpp_pipeline_tests.cluster.objects import ApiError
from cpp_pipeline_tests.cluster.simulator import Simulator
from cpp_pipeline_tests.launch.k8s.conftest import request, run_job

NAME = "cpp_pipeline.launch.k8s.api"


def warnings(caplog: pytest.LogCaptureFixture, name: str = NAME) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == name and r.levelno == logging.WARNING]


def failing(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, times: int, then: ApiError | None = None) -> None:
    """The server answers 503 so often, then as ever, or with an error."""
    left = iter([ApiError(503, "ServiceUnavailable", "apiserver is shutting down")] * times)
    create = simulator.create

    def sometimes(*given: Any) -> Any:
        error = next(left, then)
        if error is not None:
            raise error
        return create(*given)

    monkeypatch.setattr(simulator, "create", sometimes)


def test_a_server_that_never_answered_is_given_up_early(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "config"
    path.write_text(json.dumps(config_of({"server": f"http://127.0.0.1:{port}"})))
    api = Api("x", str(path), patience_seconds=100_000.0, first_seconds=0.5)
    with pytest.raises(ClusterError, match=r"cannot be reached .*refused.*CPP_PIPELINE_K8S_CONFIG"):
        api.job("y")
    (told,) = warnings(caplog)
    assert f"http://127.0.0.1:{port} does not answer" in told and "refused" in told


def test_once_it_has_answered_it_is_waited_for_and_each_outage_is_told_once(
    cluster: Cluster, kubeconfig: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    simulator = cluster.only_simulated()
    api = Api(cluster.namespace, kubeconfig, patience_seconds=60.0, first_seconds=0.0)
    service = {"kind": "Service", "apiVersion": "v1", "spec": {"clusterIP": "None"}}
    assert api.job("absent") is None  # this is an answer
    for name in ("a", "b"):
        with monkeypatch.context() as patched:
            failing(simulator, patched, 2)
            assert api.create({**service, "metadata": {"name": name}}) is not None
    told = warnings(caplog)
    assert ["does not answer" in t for t in told] == [True, False, True, False]
    assert "apiserver is shutting down" in told[0] and api.host in told[0]
    assert "answers again" in told[1]


QUOTA = (
    'jobs.batch "a" is forbidden: exceeded quota: training, requested: count/jobs.batch=1, '
    "used: count/jobs.batch=5, limited: count/jobs.batch=5"
)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (QUOTA, r"exceeded quota: training[\s\S]*ResourceQuota training .*count/jobs.batch"),
        ('admission webhook "p.example.com" denied the request: no', r"p.example.com.*: no[\s\S]*admission webhook"),
    ],
)
def test_a_403_that_is_no_missing_right_is_not_told_as_one(
    cluster: Cluster, api: Api, monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    failing(cluster.only_simulated(), monkeypatch, 0, ApiError(403, "Forbidden", said))
    with pytest.raises(ClusterError, match=words) as refused:
        api.create({"kind": "Job", "metadata": {"name": "x"}, "spec": {}})
    assert "Role" not in str(refused.value) and refused.value.status == 403


def test_a_log_that_may_not_be_read_is_told_once_and_seldom_asked_for(
    cluster: Cluster, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.only_simulated().denied.add(("get", "pods/log"))
    asked: list[str] = []
    log = api.log

    def counted(pod: str, since_seconds: int | None) -> Any:
        asked.append(pod)
        return log(pod, since_seconds)

    monkeypatch.setattr(api, "log", counted)
    assert run_job(cluster, api, request(cluster, "quiet", "import time; time.sleep(3)")).success
    (told,) = warnings(caplog, "cpp_pipeline.launch.k8s.logs")
    assert 'cannot get resource "pods/log"' in told and "CPP_PIPELINE_K8S_NAMESPACE" in told
    assert len(asked) == 2  # at its start, and once more at its end
    ran = run_job(cluster, api, request(cluster, "bad", "exit(2)"), is_done=lambda: False)
    assert ran.failure is not None and "cannot be read" in str(ran.failure.metadata["last_lines"].value)
