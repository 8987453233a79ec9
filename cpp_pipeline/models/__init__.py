"""Models: shapes, weights on disk, optimizers, sampling.

Belongs here: everything about a decoder that is independent of what it is trained on.
Does not belong here: losses, data, schedules (`training`), verdicts (`sandbox`).
Only `presets` can be imported without torch.
"""
