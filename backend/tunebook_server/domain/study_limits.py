"""How large the parts of a study may be."""

NAME_LONGEST = 200
METRIC_LONGEST = 200
TEXT_LONGEST = 10_000
"""Characters of a goal or a note."""
TRIALS_MOST = 1_000_000
PARALLEL_MOST = 100_000
ATTEMPTS_MOST = 100
SEED_HIGHEST = 2**63 - 1
PARENTS_MOST = 20
ID_HIGHEST = 2**63 - 1
PRIORITY_MOST = 1000
WEIGHT_LEAST, WEIGHT_MOST = 0.001, 1000.0
ATTEMPTS = 3
"""Tries at a trial that fails for reasons that say nothing about its values."""
