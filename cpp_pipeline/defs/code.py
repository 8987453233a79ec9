"""What several files of assets name: sources, as `code_version` takes them, and the trained models."""

VERDICTS = ("sandbox/judging", "sandbox/native")
"""What decides a verdict. The controller and its clients only carry it, so a change there remakes nothing."""
CHECKPOINTS = (
    "base_checkpoint",
    "sft_checkpoint",
    "sft_control_checkpoint",
    "preference_checkpoint",
    "gspo_checkpoint",
    "cmake_checkpoint",
    "router_checkpoint",
)
"""All trained models, in the order of the method; each is checked and stands in the report."""
