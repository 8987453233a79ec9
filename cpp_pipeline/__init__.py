"""C++ repository dumps to verified training data to small C++ code models."""

import atexit
import gc

# torch, transformers and dagster make a million objects that stay to the end of a process. By default Python looks for
# garbage among them every 700 new ones, and again at the exit: a fifth of the time of a command that loads a model.
gc.set_threshold(50_000, 20, 50)
atexit.register(gc.freeze)
