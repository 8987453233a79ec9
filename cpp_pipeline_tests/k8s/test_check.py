"""`cpp-pipeline k8s check`: what is left to be set is named, and nothing half-set is passed on."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cpp_pipeline.cli import app
from cpp_pipeline.launch.k8s.check import refuse_unset
from cpp_pipeline_tests.k8s.rendering import DIGEST, MANIFESTS, OVERLAYS, build, objects, one, overlay

REGISTRY = "europe-docker.pkg.dev/project/repository"


def finished(tmp_path: Path, name: str) -> str:
    """An overlay of a user's own on one of the repository's, with images and bucket set as kustomize does it."""
    (tmp_path / "k8s").symlink_to(MANIFESTS)
    mine = tmp_path / "mine"
    mine.mkdir()
    kustomization = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../k8s/overlays/{name}]
images:
  - name: image-is-not-set.invalid/cpp-pipeline
    newName: {REGISTRY}/trainer
    digest: {DIGEST[1:]}
  - name: image-is-not-set.invalid/cpp-pipeline-sandbox
    newName: {REGISTRY}/sandbox
    digest: {DIGEST[1:]}
patches:
  - patch: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {{name: cpp-pipeline, namespace: cpp-pipeline}}
      data: {{CPP_PIPELINE_ROOT: gs://bucket/prefix, CPP_PIPELINE_K8S_IMAGE: {REGISTRY}/trainer{DIGEST}}}
"""
    (mine / "kustomization.yaml").write_text(kustomization)
    return build(mine)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_as_the_repository_has_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not ready for a cluster") as caught:
        refuse_unset(overlay(name), name)
    told = str(caught.value)
    assert "Deployment execution-controller, spec.template.spec.containers[controller].image" in told
    assert "SandboxTemplate cpp-sandbox, spec.podTemplate.spec.containers[runner].image" in told
    assert "kustomize edit set image cpp-pipeline-sandbox=REPOSITORY@sha256:" in told
    assert "ConfigMap cpp-pipeline, data.CPP_PIPELINE_ROOT" in told
    assert len(told.splitlines()) == 5


def test_the_remedy_of_the_message_is_what_kustomize_takes(tmp_path: Path) -> None:
    """`kustomize edit set image` writes `newName` and `digest` into the overlay; the settings follow."""
    (tmp_path / "base").symlink_to(MANIFESTS / "base")
    folder = tmp_path / "overlays" / "own"
    folder.mkdir(parents=True)
    source = MANIFESTS / "overlays" / "gke-ondemand"
    text = (source / "kustomization.yaml").read_text()
    text = re.sub(r"newName: \S+/(\S+)", rf"newName: {REGISTRY}/\1\n    digest: {DIGEST[1:]}", text)
    (folder / "kustomization.yaml").write_text(text)
    settings = (source / "settings.yaml").read_text().replace("bucket-is-not-set.invalid", "bucket")
    (folder / "settings.yaml").write_text(settings)
    (folder / "api-server.yaml").write_text((source / "api-server.yaml").read_text())
    built = build(folder)
    refuse_unset(built, "own")
    data = one(objects(built), "ConfigMap", "cpp-pipeline")["data"]
    assert data["CPP_PIPELINE_K8S_IMAGE"] == f"{REGISTRY}/cpp-pipeline{DIGEST}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_on_an_overlay_is_passed_on(tmp_path: Path, name: str) -> None:
    built = finished(tmp_path, name)
    path = tmp_path / "built.yaml"
    path.write_text(built)
    runner = CliRunner()
    assert runner.invoke(app, ["k8s", "check", str(path)]).stdout == built
    assert runner.invoke(app, ["k8s", "check"], input=built).stdout == built


def test_nothing_is_passed_on_that_is_refused() -> None:
    done = CliRunner().invoke(app, ["k8s", "check"], input=overlay("gke-spot"))
    assert done.exit_code != 0 and done.stdout == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (DIGEST, ":latest", "is no digest"),
        (DIGEST, DIGEST[:-1], "is no digest"),
        ("CPP_PIPELINE_K8S_SHAPE: l4+spot", "CPP_PIPELINE_K8S_SHAPE: l5", "CPP_PIPELINE_K8S_SHAPE: 'l5' is no shape"),
        ("CPP_PIPELINE_STEP_SHAPE: cpu", "CPP_PIPELINE_STEP_SHAPE: x", "CPP_PIPELINE_STEP_SHAPE: 'x"),
        ("CPP_PIPELINE_EXECUTOR", "CPP_PIPELINE_EXECUTER", "data.CPP_PIPELINE_EXECUTER: there is no such setting"),
        ("CPP_PIPELINE_WATCH_SHAPE: cpu", "CPP_PIPELINE_WATCH_SHAPE: x", "CPP_PIPELINE_WATCH_SHAPE: 'x"),
        ('MAX_CONCURRENT: "32"', "MAX_CONCURRENT: many", "CPP_PIPELINE_MAX_CONCURRENT='many': use a whole number"),
    ],
)
def test_what_is_set_wrongly_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    built = finished(tmp_path, "gke-spot")
    assert old in built
    with pytest.raises(ValueError, match=re.escape(words)):
        refuse_unset(built.replace(old, new), "mine")


@pytest.mark.parametrize("text", ["", "---\n", "Error: no such file", "a: [", "- 1"])
def test_output_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="did rendering fail"):
        refuse_unset(text, "x")
