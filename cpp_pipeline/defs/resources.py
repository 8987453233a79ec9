"""Resources, from the settings. The same assets run elsewhere with other values here."""

import dagster as dg

from cpp_pipeline.launch.local import Launcher
from cpp_pipeline.launch.sandbox import SandboxResource
from cpp_pipeline.models.presets import Preset, preset
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.io_manager import ParquetIOManager

SETTINGS = Settings.from_env()
PRESET: Preset = preset(SETTINGS.preset)


@dg.definitions
def resources() -> dg.Definitions:
    """Storage, launcher and sandbox; one process by default, since a step costs less than an import."""
    return dg.Definitions(
        resources={
            "io_manager": ParquetIOManager(root=SETTINGS.root),
            "storage": StoreResource(root=SETTINGS.root),
            "launcher": Launcher(),
            "sandbox": SandboxResource(
                url=SETTINGS.sandbox_url,
                token=SETTINGS.sandbox_token,
                workers=SETTINGS.sandbox_workers,
                backend=SETTINGS.sandbox_backend,
            ),
        },
        executor=dg.in_process_executor,
    )
