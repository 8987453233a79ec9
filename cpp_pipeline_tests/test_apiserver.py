"""Which cluster is meant, and what its errors mean: the same to the launcher and to the sandbox's pool."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.client import ApiException
from kubernetes.config import incluster_config, kube_config

from cpp_pipeline.apiserver import NoCluster, open_client, refusal
from cpp_pipeline.launch.k8s.api import Cluster, ClusterError
from cpp_pipeline.sandbox.pool.claims import Claims, PoolError
from cpp_pipeline_tests.cluster.account import SecureServer, be_a_pod, kubeconfig, make_certificate, secure_server

Ask = Callable[[str], object]
ROOMS: dict[str, Ask] = {
    "launcher": lambda config: Cluster("ns", config).jobs("a=b"),
    "pool": lambda config: Claims("ns", "judges", 60.0, config=config).left_over(),
}
rooms = pytest.mark.parametrize("ask", ROOMS.values(), ids=ROOMS.keys())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SecureServer]:
    with secure_server(tmp_path / "server") as found:
        yield found


def config_file(path: Path, server: dict[str, str]) -> str:
    path.write_text(json.dumps(kubeconfig(server)))
    return str(path)


@rooms
def test_in_a_pod_its_service_account_is_used(
    ask: Ask, server: SecureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_a_pod(server, tmp_path, monkeypatch)
    assert ask("") == []
    scheme, _, token = server.authorizations[0].partition(" ")
    assert (scheme.lower(), token) == ("bearer", "first-token")


def test_a_renewed_token_is_read_again(server: SecureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = be_a_pod(server, tmp_path, monkeypatch)
    cluster = Cluster("ns")
    cluster.jobs("a=b")
    token.write_text("second-token")

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime.now(tz) + datetime.timedelta(minutes=5)

    clock = SimpleNamespace(datetime=Later, timedelta=datetime.timedelta)
    monkeypatch.setattr(incluster_config, "datetime", clock)
    cluster.jobs("a=b")
    assert [a.partition(" ")[2] for a in server.authorizations] == ["first-token", "second-token"]


@pytest.mark.parametrize("named", [True, False], ids=["setting", "KUBECONFIG"])
def test_a_kubeconfig_file_comes_before_the_account(
    named: bool, server: SecureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_a_pod(server, tmp_path, monkeypatch)
    path = config_file(tmp_path / "config", {"server": "http://127.0.0.1:9"})
    if not named:
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", f"{tmp_path}/absent:{path}")
    assert open_client(path if named else "").configuration.host == "http://127.0.0.1:9"


def test_where_nothing_is_found_all_places_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", f"{tmp_path}/absent")
    with pytest.raises(NoCluster, match="CPP_PIPELINE_K8S_CONFIG is not set, there is no .*/absent .*account of a pod"):
        open_client()
    with pytest.raises(NoCluster, match="CPP_PIPELINE_K8S_CONFIG='/nonexistent/config' cannot be used .no such file"):
        open_client("/nonexistent/config")


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: b: c", '{"kind": "Config"}', "\x00"])
@pytest.mark.parametrize("named", [True, False], ids=["setting", "KUBECONFIG"])
def test_a_file_that_is_no_kubeconfig_is_named(
    text: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    with pytest.raises(NoCluster, match=rf"CPP_PIPELINE_K8S_CONFIG.*{path}.* cannot be used .*name a kubeconfig file"):
        open_client(str(path) if named else "")


@rooms
def test_a_certificate_that_does_not_fit_is_told_at_once(ask: Ask, server: SecureServer, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(server.kubeconfig(make_certificate(tmp_path / "other"))))
    with pytest.raises(
        (ClusterError, PoolError), match=r"no secure connection .*certificate verify failed.*CPP_PIPELINE_K8S_CONFIG"
    ) as told:
        ask(str(path))
    assert "cannot be reached" not in str(told.value)
    assert server.authorizations == []


def test_an_unreachable_server_is_told_to_the_pool_with_the_setting(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = config_file(tmp_path / "config", {"server": f"http://127.0.0.1:{port}"})
    with pytest.raises(PoolError, match=r"cannot be reached .*Connection refused.*CPP_PIPELINE_K8S_CONFIG"):
        ROOMS["pool"](path)


RIGHT = 'jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch" in the namespace "ns"'
QUOTA = (
    'jobs.batch "a" is forbidden: exceeded quota: training, requested: count/jobs.batch=1,limits.cpu=8, '
    "used: count/jobs.batch=5,limits.cpu=40, limited: count/jobs.batch=5,limits.cpu=40"
)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (RIGHT, "bind it"),
        (QUOTA, "ResourceQuota training of the namespace is used up (count/jobs.batch, limits.cpu)"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": privileged', "PodSecurity"),
        ('admission webhook "policy.example.com" denied the request: no label', "admission webhook"),
        ("", "bind it"),
    ],
)
def test_a_403_is_told_as_what_it_is(said: str, words: str) -> None:
    error = ApiException(status=403, reason="Forbidden")
    error.body = json.dumps({"kind": "Status", "message": said}).encode()
    message, remedy = refusal(error, {403: "bind it"})
    assert message == (said or "403 Forbidden")
    assert words in remedy and ("bind it" in remedy) == (words == "bind it")


def test_a_long_message_is_cut() -> None:
    error = ApiException(status=403, reason="Forbidden")
    error.body = json.dumps({"message": "admission webhook denied it: " + "very " * 1000})
    assert 100 < len(refusal(error, {})[0]) <= 500


def test_a_server_that_hangs_up_in_a_handshake_is_asked_again(server: SecureServer, tmp_path: Path) -> None:
    with hanging_up(server.port, times=2) as port:
        path = tmp_path / "config"
        path.write_text(json.dumps(SecureServer(port, server.certificate).kubeconfig(server.certificate)))
        assert Cluster("ns", str(path)).jobs("a=b") == []
    assert len(server.authorizations) == 1


@contextlib.contextmanager
def hanging_up(port: int, times: int) -> Iterator[int]:
    """A port that leads to another one, after it has hung up on so many who began to speak TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(times):
                client, _address = listening.accept()
                client.recv(4096)
                client.shutdown(socket.SHUT_RDWR)
                client.close()
            client, _address = listening.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as there:
                pipe = threading.Thread(target=pump, args=(there, client))
                pipe.start()
                pump(client, there)
                pipe.join()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    while block := source.recv(65536):
        target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
