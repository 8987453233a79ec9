"""`cpp-pipeline k8s render`: the Jobs of the real assets, on an empty root, and nothing is written."""

from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from cpp_pipeline.launch.choose import kubernetes_launcher
from cpp_pipeline.launch.k8s.manifest import Manifest
from cpp_pipeline.launch.k8s.render import NotLaunched, render
from cpp_pipeline.settings import Settings
from cpp_pipeline_tests.cluster import podsecurity, validation
from cpp_pipeline_tests.gcs.fixtures import objects

IMAGE = "europe-docker.pkg.dev/p/r/trainer@sha256:" + "b" * 64


@cache
def assets() -> dict[str, dg.AssetsDefinition]:
    from cpp_pipeline.definitions import defs

    found = [a for a in defs().assets or [] if isinstance(a, dg.AssetsDefinition)]
    return {a.op.name: a for a in found}


def launched() -> list[str]:
    return sorted(name for name, a in assets().items() if "launcher" in a.required_resource_keys)


def rendered(name: str, root: str, **settings: Any) -> list[Manifest]:
    chosen = Settings(root=root, k8s_image=IMAGE, k8s_shape="l4+spot", **settings)
    return render(assets()[name], kubernetes_launcher(chosen), "http://sandbox.cpp-pipeline.svc:8080")


def command(job: Manifest) -> list[str]:
    return list(job["spec"]["template"]["spec"]["containers"][0]["command"])


def test_every_asset_that_launches_a_command_has_a_job(tmp_path: Path) -> None:
    names = launched()
    assert len(names) >= 14 and {"base_checkpoint", "gspo_checkpoint", "pass_k_solutions", "agent_eval"} <= set(names)
    root = tmp_path / "root"
    for name in names:
        (job,) = rendered(name, str(root))
        kubernetes_validate.validate(job, "1.37", strict=True)
        validation.check("jobs", job)
        assert list(podsecurity.violations(job["spec"]["template"]["spec"])) == []
        assert "@output" in command(job)
        inputs = [part.partition("=")[2].partition("=")[2] for part in command(job) if part.startswith("--input=")]
        assert inputs and all(place.startswith(str(root)) for place in inputs), name
    assert not root.exists()


def test_a_root_in_a_bucket_is_named_as_it_is_and_not_written(bucket: str) -> None:
    for name in ("base_checkpoint", "sft_checkpoint", "gspo_checkpoint"):
        (job,) = rendered(name, f"{bucket}/root")
        inputs = [part.partition("=")[2].partition("=")[2] for part in command(job) if part.startswith("--input=")]
        assert inputs and all(place.startswith(f"{bucket}/root/") for place in inputs), name
    assert objects(bucket) == {}


def test_the_same_job_is_rendered_again(tmp_path: Path) -> None:
    assert rendered("sft_checkpoint", str(tmp_path)) == rendered("sft_checkpoint", str(tmp_path))


def test_an_asset_without_a_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotLaunched, match="launches no command"):
        rendered("docstring_sft", str(tmp_path))


def test_the_command_prints_yaml(tmp_path: Path) -> None:
    from cpp_pipeline.cli import app

    base = ["k8s", "render", "router_checkpoint"]
    environment = {"CPP_PIPELINE_ROOT": str(tmp_path / "root")}
    runner = CliRunner(env=environment)
    good = runner.invoke(app, [*base, "--image", IMAGE, "--shape", "a100"])
    assert good.exit_code == 0, good.output
    (job,) = yaml.safe_load_all(good.stdout)
    assert job["spec"]["template"]["spec"]["nodeSelector"]["cloud.google.com/gke-accelerator"] == "nvidia-tesla-a100"
    for flags, message in (
        (base, "CPP_PIPELINE_K8S_IMAGE"),
        ([*base, "--image", IMAGE, "--shape", "x"], "CPP_PIPELINE_K8S_SHAPE"),
        (["k8s", "render", "no_such_asset", "--image", IMAGE], "is no asset"),
    ):
        bad = runner.invoke(app, flags)
        assert bad.exit_code != 0 and message in str(bad.exception)
