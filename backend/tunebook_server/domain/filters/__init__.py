"""Filters: which trials of a study are meant, in a small language that can compare and do nothing else.

    learning_rate > 1e-4 and (optimizer = "adam" or not state = infeasible) and valid/error <= 0.05

`words` cuts the text, `parser` builds the tree, `check` holds it against a study's search space, `spelling`
writes names and values so that they are read back. `docs/filters.md` is the reference.
"""
