"""The agent: route a request to one of four tools, act, verify in the sandbox, refine.

Belongs here: the tools, FunctionGemma's format, the router's data, the router at inference,
the loop around the code models, and its HTTP service.
Does not belong here: training of the router (`training.router`) and verdicts (`sandbox`).
"""
