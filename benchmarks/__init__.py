"""Measured claims: every subject is a module here, `python -m benchmarks` runs them and writes docs/benchmarks.md.

Belongs here: subjects (modules with `run`) and, in `common`, what they share. Not here: tests of behaviour, which are
in `cpp_pipeline_tests`.
"""
