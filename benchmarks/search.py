"""How good the samplers are, beside those of other libraries: same problems, budgets and seeds in one run.

    python -m benchmarks.search [--seeds 20] [--budget 100] [--at-once 1 8] [--problems NAME ...]
        [--methods NAME ...] [--jobs 2] [--runs FILE]

Ours always; Optuna's where it is installed (`uv pip install 'optuna>=5,<6' scipy cmaes torch`), and Vizier's
(`google-vizier[jax] jax==0.4.35 jaxlib==0.4.35 flax==0.10.2 optax==0.2.4 chex==0.1.88`), which takes seconds
an ask. Eight at once means that eight trials are pending whenever one is asked for, and that they end in the
order in which they began. Prints one JSON line for each problem and way of asking: by method the median
regret after 20, 50 and 100 trials with a bootstrap interval of 95 %; then for each way the mean ranks over
problems and seeds, and the processor time of an ask (the medians over runs of its 50th and 99th percentile).
`--runs` keeps every run, one a line, and goes on from what is there.
"""

import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.comparison import Comparison, Goal, Key, Run, made
from benchmarks.search_methods import methods, searcher
from benchmarks.search_problems import problems


def run(key: Key, budget: int) -> Run:
    name, method, at_once, seed = key
    threadpool_limits(1)
    problem = problems()[name]
    search = searcher(method, problem.space, seed)
    pending: list[tuple[int, float | None]] = []
    best, curve, seconds, infeasible = np.inf, [], [], 0
    for _ in range(budget):
        if len(pending) >= at_once:
            search.tell(*pending.pop(0))
        start = time.process_time()
        number, configuration = search.ask()
        seconds.append(time.process_time() - start)
        loss = problem.loss(configuration)
        pending.append((number, loss))
        infeasible += loss is None
        best = best if loss is None else min(best, loss)
        curve.append(best)
    return made(key, curve, seconds, infeasible)


if __name__ == "__main__":
    Comparison(
        name="search",
        text=__doc__,
        goals={name: Goal(problem.optimum, problem.real) for name, problem in problems().items()},
        methods=methods(),
        run=run,
    ).main()
