"""The overlays, built once."""

import pytest

from cpp_pipeline_tests.k8s.rendering import OVERLAYS, Object, overlay_objects


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Object]:
    """All objects of an overlay, as the repository has it."""
    return overlay_objects(request.param)


@pytest.fixture
def spot() -> list[Object]:
    """All objects of the overlay with most changes."""
    return overlay_objects("gke-spot")
