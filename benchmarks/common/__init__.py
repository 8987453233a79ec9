"""What the subjects share: rows and their report, a controller as a child, its CPU time, HumanEval-X, the peer."""
