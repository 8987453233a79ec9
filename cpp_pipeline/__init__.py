"""C++ repository dumps to verified training data to small C++ code models."""

import gc

# torch, transformers and dagster make a million objects that stay to the end of a process. By default Python looks for
# garbage among them every 700 new ones, for a sixth of the time in which a command that loads a model starts.
gc.set_threshold(50_000, 20, 50)
