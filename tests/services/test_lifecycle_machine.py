"""Two hundred lives of studies, fifty steps each: no step breaks an invariant."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from tests.services.lifecycle_machine import LifecycleMachine


@pytest.mark.usefixtures("lifecycle_settings")
def test_invariants_hold(engine: Engine) -> None:
    machine = type("Lifecycle", (LifecycleMachine,), {"engine": engine})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200,
            stateful_step_count=50,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
