"""The code location: everything under `defs/`."""

import warnings
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load assets, checks, resources and automation from `defs/`.

    As `dg.load_from_defs_folder`, but without Dagster's catalogue of installed components, of which none is used here:
    it imports all of dagster-gcp, which takes a third of the time in which a step's process starts.
    """
    tree = dg.ComponentTree.for_project(Path(__file__).parent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # as load_from_defs_folder does
        return tree.build_defs(tree.defs_module_path)
