"""Canaries: programs of known verdict and attacks on the judge, and the run over them.

Belongs here: what is judged, what answer is right, and how it is shown. Every source is written for this suite. An
attack is held when it passes no more tests than its body deserves; a judge that believes exit codes is the control.
"""

from cpp_pipeline.sandbox.canaries.attacks import ATTACKS
from cpp_pipeline.sandbox.canaries.programs import PROGRAMS
from cpp_pipeline.sandbox.canaries.report import show, summary
from cpp_pipeline.sandbox.canaries.run import MODES, Canary, Verifier, attacks, programs, run_canaries

__all__ = [
    "ATTACKS",
    "MODES",
    "PROGRAMS",
    "Canary",
    "Verifier",
    "attacks",
    "programs",
    "run_canaries",
    "show",
    "summary",
]
