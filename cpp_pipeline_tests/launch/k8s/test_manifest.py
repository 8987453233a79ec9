"""Rendered Jobs: what each shape becomes, what every Job has, and that servers take them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest

from cpp_pipeline.launch.k8s.manifest import (
    DO_NOT_RETRY,
    NAME_LENGTH,
    STOPPED,
    TORCHRUN,
    JobRequest,
    job_manifest,
    manifests,
    with_env,
    worker_command,
)
from cpp_pipeline.launch.k8s.shapes import SHAPES, shape
from cpp_pipeline_tests.cluster import podsecurity, validation

IMAGE = "europe-docker.pkg.dev/p/r/trainer@sha256:" + "a" * 64
VERSIONS = ("1.33", "1.35", "1.37")
PLAIN = JobRequest("base-checkpoint-0123", "cpp-pipeline", IMAGE, ["python", "-m", "x"], SHAPES["l4"])
REQUESTS = {
    **{name: replace(PLAIN, shape=found) for name, found in SHAPES.items()},
    "spot": replace(PLAIN, shape=shape("l4+spot"), grace_seconds=15),
    "nodes": replace(PLAIN, shape=shape("h100x8+nodes=2")),
    "parts": replace(PLAIN, parts=16),
    "queue": replace(PLAIN, queue="gpus", service_account="trainer", secrets={"SANDBOX_TOKEN": ("sandbox", "token")}),
}


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    return dict(manifest["spec"]["template"]["spec"])


@pytest.mark.parametrize("name", REQUESTS)
def test_every_job_fits_the_schemas_the_rules_and_restricted(name: str) -> None:
    for manifest in manifests(REQUESTS[name]):
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        resource = {"Job": "jobs", "Service": "services"}[manifest["kind"]]
        validation.check(resource, manifest)
        if resource == "jobs":
            assert list(podsecurity.violations(pod(manifest))) == []


@pytest.mark.parametrize("name", REQUESTS)
def test_what_every_job_has(name: str) -> None:
    job = job_manifest(REQUESTS[name])
    spec, container = pod(job), pod(job)["containers"][0]
    assert (spec["restartPolicy"], job["spec"]["podReplacementPolicy"]) == ("Never", "Failed")
    assert spec["automountServiceAccountToken"] is False
    assert spec["terminationGracePeriodSeconds"] == 15
    assert job["spec"]["activeDeadlineSeconds"] > 0 and job["spec"]["ttlSecondsAfterFinished"] > 24 * 3600
    assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    volumes = {v["name"]: v["emptyDir"] for v in spec["volumes"]}
    assert volumes[mounts["/dev/shm"]]["medium"] == "Memory"
    assert {"name": "TMPDIR", "value": "/scratch"} in container["env"] and "/scratch" in mounts
    stop, ignore, *others = job["spec"]["podFailurePolicy"]["rules"]
    assert (stop["action"], stop["onExitCodes"]["values"]) == ("FailJob", list(DO_NOT_RETRY))
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    # one process that is told to stop is one failure; several nodes are told so by the disruption of one of them
    assert [(o["action"], o["onExitCodes"]["values"]) for o in others] == [("Ignore", [STOPPED])] * (name == "nodes")


def test_gpus_and_spot_decide_the_place() -> None:
    spec = pod(job_manifest(REQUESTS["spot"]))
    assert spec["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": "nvidia-l4",
        "cloud.google.com/gke-spot": "true",
    }
    assert {t["key"] for t in spec["tolerations"]} == {"nvidia.com/gpu", "cloud.google.com/gke-spot"}
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    plain = pod(job_manifest(REQUESTS["cpu"]))
    assert "nodeSelector" not in plain and "tolerations" not in plain
    assert "nvidia.com/gpu" not in plain["containers"][0]["resources"]["limits"]


def test_gpus_are_told_and_the_drivers_libraries_found() -> None:
    def env(name: str) -> dict[str, str | None]:
        return {e["name"]: e.get("value") for e in pod(job_manifest(REQUESTS[name]))["containers"][0]["env"]}

    found = env("h100x8")
    assert (found["CPP_PIPELINE_GPUS"], found["LD_LIBRARY_PATH"]) == ("8", "/usr/local/nvidia/lib64")
    assert not {"CPP_PIPELINE_GPUS", "LD_LIBRARY_PATH"} & env("cpu").keys()


def test_several_gpus_and_several_nodes_are_started_by_torchrun() -> None:
    one = worker_command("m.train", ["--x", "1"], SHAPES["l4"], "job")
    assert one == ["python", "-m", "m.train", "--x", "1"]
    node = worker_command("m.train", ["--x", "1"], SHAPES["h100x8"], "job")
    assert node[:4] == [*TORCHRUN, "--standalone"] and "--nproc-per-node=8" in node
    many = worker_command("m.train", [], shape("h100x8+nodes=2"), "job")
    assert "--rdzv-endpoint=job-0.job:29400" in many and "--nnodes=2" in many
    assert many[len(TORCHRUN)] == "--node=$(JOB_COMPLETION_INDEX)"
    assert "--local-addr=job-$(JOB_COMPLETION_INDEX).job" in many


def test_several_nodes_find_each_other_by_a_headless_service() -> None:
    job, service = manifests(REQUESTS["nodes"])
    assert (job["spec"]["completionMode"], job["spec"]["completions"], job["spec"]["parallelism"]) == ("Indexed", 2, 2)
    assert pod(job)["subdomain"] == service["metadata"]["name"] == PLAIN.name
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": PLAIN.name}


def test_independent_parts_are_tried_again_one_by_one() -> None:
    spec = job_manifest(REQUESTS["parts"])["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimitPerIndex"]) == (16, 16, 3)


def test_a_queue_is_a_label_of_the_job_alone() -> None:
    job = job_manifest(REQUESTS["queue"])
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "kueue.x-k8s.io/queue-name" not in job["spec"]["template"]["metadata"]["labels"]
    assert pod(job)["serviceAccountName"] == "trainer"
    assert {"secretKeyRef": {"name": "sandbox", "key": "token"}} in [
        e.get("valueFrom") for e in pod(job)["containers"][0]["env"]
    ]


@pytest.mark.parametrize("image", ["", "trainer:latest", "trainer@sha256:" + "a" * 63, "a b@sha256:" + "a" * 64])
def test_an_image_has_to_be_named_by_digest(image: str) -> None:
    with pytest.raises(ValueError, match="CPP_PIPELINE_K8S_IMAGE"):
        job_manifest(replace(PLAIN, image=image))


def test_a_name_leaves_room_for_the_index() -> None:
    job_manifest(replace(PLAIN, name="a" * NAME_LENGTH))
    for name in ("a" * (NAME_LENGTH + 1), "A", "a_b", "-a", "a-"):
        with pytest.raises(ValueError, match="no name for a Job"):
            job_manifest(replace(PLAIN, name=name))


def test_more_environment_changes_nothing_else() -> None:
    job = job_manifest(PLAIN)
    before = str(job)
    more = with_env(job, {"B": "2", "A": "1"})
    assert str(job) == before
    assert pod(more)["containers"][0]["env"][-2:] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert more["spec"]["podFailurePolicy"] == job["spec"]["podFailurePolicy"]
