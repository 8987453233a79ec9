"""Attacks on the judge, all written for this suite: none may pass more tests than its body deserves."""

from cpp_pipeline.sandbox.canaries.attacks.forging import FORGING
from cpp_pipeline.sandbox.canaries.attacks.leaving import LEAVING
from cpp_pipeline.sandbox.canaries.attacks.problem import PREAMBLE, SUM, Attack, Problem
from cpp_pipeline.sandbox.canaries.attacks.prying import PRYING
from cpp_pipeline.sandbox.canaries.attacks.rewriting import REWRITING

FAMILIES: dict[str, tuple[Attack, ...]] = {
    "prying": PRYING,  # first, since some of these only wait
    "forging": FORGING,
    "leaving": LEAVING,
    "rewriting": REWRITING,
}
ATTACKS = [attack for family in FAMILIES.values() for attack in family]

__all__ = ["ATTACKS", "FAMILIES", "PREAMBLE", "SUM", "Attack", "Problem"]
