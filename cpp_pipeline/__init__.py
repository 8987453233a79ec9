"""C++ repository dumps to verified training data to small C++ code models."""
