"""Programs of known verdict, over every type, verdict, harness and build."""

from cpp_pipeline.sandbox.canaries.programs.faults import FAULTS
from cpp_pipeline.sandbox.canaries.programs.forms import FORMS
from cpp_pipeline.sandbox.canaries.programs.program import Program
from cpp_pipeline.sandbox.canaries.programs.values import VALUES

PROGRAMS: list[Program] = [*VALUES, *FAULTS, *FORMS]

__all__ = ["PROGRAMS", "Program"]
