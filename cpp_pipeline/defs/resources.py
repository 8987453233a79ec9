"""Resources, from the settings. The same assets run elsewhere with other values here."""

from contextlib import AbstractContextManager

import dagster as dg

from cpp_pipeline.curate.joins import Engine, open_engine
from cpp_pipeline.launch.choose import launcher
from cpp_pipeline.launch.sandbox import SandboxResource
from cpp_pipeline.launch.steps import executor
from cpp_pipeline.models.presets import Preset, preset
from cpp_pipeline.settings import Settings
from cpp_pipeline.storage.assets import StoreResource
from cpp_pipeline.storage.io_manager import ParquetIOManager

SETTINGS = Settings.from_env()
PRESET: Preset = preset(SETTINGS.preset)


def join_engine() -> AbstractContextManager[Engine]:
    """Where joins over all dumps run, by the settings; a cluster exchanges its files below the storage root."""
    scratch = f"{SETTINGS.root}/work" if SETTINGS.engine == "spark" else None
    return open_engine(SETTINGS.engine, SETTINGS.spark_remote, scratch)


@dg.definitions
def resources() -> dg.Definitions:
    """Storage, launcher, sandbox and executor."""
    return dg.Definitions(
        resources={
            "io_manager": ParquetIOManager(root=SETTINGS.root),
            "storage": StoreResource(root=SETTINGS.root),
            "launcher": launcher(SETTINGS),
            "sandbox": SandboxResource(
                url=SETTINGS.sandbox_url,
                token=SETTINGS.sandbox_token,
                workers=SETTINGS.sandbox_workers,
                backend=SETTINGS.sandbox_backend,
            ),
        },
        executor=executor(SETTINGS),
    )
