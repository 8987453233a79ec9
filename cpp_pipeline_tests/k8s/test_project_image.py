"""The image of the project, built from its Dockerfile and started as its user.

Wheels that this machine has at hand (`PIP_FIND_LINKS`) are taken before those of PyPI: as a torch without CUDA.
"""

from __future__ import annotations

import pytest

from cpp_pipeline_tests.k8s.images import Images

pytestmark = pytest.mark.slow
NAME = "cpp-pipeline"


@pytest.fixture(scope="module")
def container(images: Images) -> str:
    """A container of the image."""
    return images.build(NAME)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["id", "-u"], "1000"),
        (["sh", "-c", "touch /opt/venv/x 2>/dev/null || touch mine && ls"], "mine"),
        (["cpp-pipeline", "--help"], "Usage: cpp-pipeline"),
        (["python", "-m", "cpp_pipeline.launch.remote_entry", "--help"], "--job"),
        (["sh", "-c", "dagster definitions validate -m cpp_pipeline.definitions 2>&1"], "All code locations passed"),
    ],
)
def test_commands_start_as_a_user_without_privileges(
    images: Images, container: str, command: list[str], told: str
) -> None:
    assert told in images.buildah("run", "--isolation=chroot", container, "--", *command)
