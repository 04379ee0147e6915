from tunebook_server.domain.caveats import caveats, together
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
        ("searched", "learning_rate (optimizer=adam) within 0.0001 … 1 (log)"),
        ("searched", "augment among true, false"),
        ("check", "It crowds."),
        ("check", "Most are."),
    ]


def test_a_round_carries_the_caveats_of_its_studies_each_once() -> None:
    narrower = SearchSpace.parse(
        [
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]},
            {"name": "batch_size", "type": "fixed", "value": 128},
            {"name": "augment", "type": "boolean"},
        ]
    )
    crowds = {"item": "boundary", "verdict": "warn", "sentence": "It crowds."}
    by_study = {
        3: caveats(SPACE, [crowds]),
        5: caveats(narrower, [crowds, crowds, {**crowds, "verdict": "pass", "sentence": "Fine."}]),
        8: caveats(narrower, []),
    }
    assert [(each.sentence, each.studies) for each in together(by_study)] == [
        ("only for batch_size = 64", (3,)),
        ("only for batch_size = 128", (5, 8)),
        ("optimizer among 'sgd', 'adam'", ()),
        ("learning_rate (optimizer=adam) within 0.0001 … 1 (log)", (3,)),
        ("augment among true, false", ()),
        ("It crowds.", (3, 5)),
    ]
    assert together({}) == []
