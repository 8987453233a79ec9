"""Boxes for untrusted programs: one protocol, several backends, and the proof that a box holds."""

from cpp_pipeline.sandbox.isolation.box import Backend, Box, BoxResult, IsolationError, Limits

__all__ = ["Backend", "Box", "BoxResult", "IsolationError", "Limits"]
