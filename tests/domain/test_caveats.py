from tunebook_server.domain.caveats import caveats
from tunebook_server.domain.search_space import SearchSpace

SPACE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"], "role": "scientific"},
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-4,
            "high": 1.0,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {"name": "batch_size", "type": "fixed", "value": 64},
        {"name": "augment", "type": "boolean"},
    ]
)


def test_what_was_fixed_what_was_searched_and_what_did_not_pass() -> None:
    findings = [
        {"item": "boundary", "verdict": "warn", "sentence": "It crowds."},
        {"item": "sampling", "verdict": "pass", "sentence": "Enough."},
        {"item": "infeasible share", "verdict": "fail", "sentence": "Most are."},
    ]
    assert [(each.kind, each.sentence) for each in caveats(SPACE, findings)] == [
        ("fixed", "only for batch_size = 64"),
        ("searched", "optimizer among 'sgd', 'adam'"),
        ("searched", "optimizer=adam/learning_rate within 0.0001 … 1 (log)"),
        ("searched", "augment among true, false"),
        ("check", "It crowds."),
        ("check", "Most are."),
    ]
