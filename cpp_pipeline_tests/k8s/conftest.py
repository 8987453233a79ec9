"""The overlays and the store of images, built once."""

from collections.abc import Iterator

import pytest

from cpp_pipeline_tests.k8s.images import Images, skip_without_tools
from cpp_pipeline_tests.k8s.rendering import OVERLAYS, Object, overlay_objects


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Object]:
    """All objects of an overlay, as the repository has it."""
    return overlay_objects(request.param)


@pytest.fixture
def spot() -> list[Object]:
    """All objects of the overlay with most changes."""
    return overlay_objects("gke-spot")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Where images are built."""
    skip_without_tools()
    found = Images(tmp_path_factory.mktemp("images"))
    yield found
    found.remove()
