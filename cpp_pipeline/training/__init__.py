"""Training: one script per stage over one small shared loop.

Belongs here: losses, schedules, checkpoints of the training state, progress.
Does not belong here: where a script runs (`launch`), what models are made of (`models`).
Every stage runs by hand: `python -m cpp_pipeline.training.<stage> --help`.
"""
