"""`cpp-pipeline doctor`: what is found of a cluster and of a browser, and what is missing for what was asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from cpp_pipeline.doctor import Finding, browser, cluster

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "far", "user": "me"}}],
    "clusters": [{"name": "far", "cluster": {"server": "https://far.example:6443"}}],
    "users": [{"name": "me", "user": {"token": "secret-token"}}],
}


@pytest.fixture(autouse=True)
def _set_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("CPP_PIPELINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CPP_PIPELINE_K8S_CONFIG", str(tmp_path / "kubeconfig"))


def configure(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(KUBECONFIG))


def test_without_a_cluster_commands_run_here_and_jobs_say_what_they_need() -> None:
    found = cluster("data")
    assert found.level == "optional"
    assert "no cluster" in found.found and "on this machine" in found.found
    for need in ("CPP_PIPELINE_LAUNCHER=k8s", "CPP_PIPELINE_K8S_CONFIG", "CPP_PIPELINE_K8S_IMAGE", "gs://"):
        assert need in found.remedy


def test_a_kubeconfig_is_found_and_no_secret_of_it_shown(tmp_path: Path) -> None:
    configure(tmp_path)
    found = cluster("gs://bucket/prefix")
    assert found.level == "optional"
    assert "https://far.example:6443" in found.found
    assert "CPP_PIPELINE_LAUNCHER=k8s" in found.remedy and "kubeconfig" not in found.remedy
    assert "secret-token" not in str(found)


@pytest.mark.parametrize("complete", [False, True])
def test_where_jobs_are_asked_for_what_they_lack_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complete: bool
) -> None:
    monkeypatch.setenv("CPP_PIPELINE_LAUNCHER", "k8s")
    if complete:
        configure(tmp_path)
        monkeypatch.setenv("CPP_PIPELINE_K8S_IMAGE", f"registry.example/cpp-pipeline@sha256:{'0' * 64}")
    found = cluster("gs://bucket/prefix" if complete else "data")
    assert found.level == ("ok" if complete else "missing")
    assert ("CPP_PIPELINE_K8S_IMAGE" in found.remedy) is not complete
    assert ("gs://" in found.remedy) is not complete


def test_a_browser_is_looked_for_and_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser("data") == Finding("browser", "optional", "no chromium", "apt-get install chromium: browser tests")
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho Chromium 1.2.3\n")
    program.chmod(0o755)
    assert browser("data") == Finding("browser", "ok", "Chromium 1.2.3")
