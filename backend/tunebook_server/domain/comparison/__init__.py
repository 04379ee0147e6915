"""Several studies, or several trials, side by side: what tells them apart, and whether the comparison is fair
(Deep Learning Tuning Playbook, "Identifying scientific, nuisance, and fixed hyperparameters")."""

from tunebook_server.domain.comparison.check import Check, caution, overall
from tunebook_server.domain.comparison.fairness import fairness
from tunebook_server.domain.comparison.side import Side, ToldApart, told_apart

__all__ = ["Check", "Side", "ToldApart", "caution", "fairness", "overall", "told_apart"]
