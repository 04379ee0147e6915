"""A table of real learning curves: what benchmarks of schedulers are replayed on.

    python -m benchmarks.learning_curves [--configurations 600] [--epochs 81] [--out .learning_curves.npz]

Trains a two-layer MLP on scikit-learn's digits for each configuration of a scrambled Sobol sequence, and
keeps the validation loss after every epoch (a pass over 1,000 images); infinite from where it was not finite.
Minutes on two cores, and the same numbers each time on one machine: linear algebra of another one rounds
otherwise, and curves that hardly learn part.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from tunebook_server.domain.samplers import sampler
from tunebook_server.domain.search_space import SearchSpace
from tunebook_server.domain.trial import Configuration

TABLE = Path(".learning_curves.npz")
LEAK = 0.1
SPACE = SearchSpace.parse(
    [
        {"name": "optimizer", "type": "categorical", "choices": ["nesterov", "adam"]},
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-3,
            "high": 10.0,
            "scale": "log",
            "when": {"optimizer": ["nesterov"]},
        },
        {
            "name": "learning_rate",
            "type": "float",
            "low": 1e-5,
            "high": 1.0,
            "scale": "log",
            "when": {"optimizer": ["adam"]},
        },
        {"name": "one_minus_momentum", "type": "float", "low": 0.01, "high": 0.5, "scale": "log"},
        {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 1e-1, "scale": "log"},
        {"name": "batch_size", "type": "integer", "low": 16, "high": 256, "scale": "log"},
        {"name": "width", "type": "integer", "low": 8, "high": 256, "scale": "log"},
    ]
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configurations", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=81)
    parser.add_argument("--out", type=Path, default=TABLE)
    arguments = parser.parse_args()
    began = time.perf_counter()
    configurations = sampler("sobol", {}).suggest(SPACE, seed=1, index=0, count=arguments.configurations)
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(partial(curve, epochs=arguments.epochs), configurations, chunksize=8))
    points = np.array([SPACE.to_unit(configuration) for configuration in configurations])
    np.savez_compressed(arguments.out, points=points, losses=np.array(found, dtype=np.float32))
    line = {
        "benchmark": "learning_curves",
        "configurations": len(found),
        "epochs": arguments.epochs,
        "best_loss": round(float(np.min(found)), 4),
        "diverged": int(np.isinf(np.array(found)[:, -1]).sum()),
        "seconds": round(time.perf_counter() - began, 1),
    }
    sys.stdout.write(json.dumps(line) + "\n")


@lru_cache(maxsize=1)
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(20_240_229).permutation(len(labels))
    return (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)


class Mlp:
    """One hidden layer of leaky units; He initialisation."""

    def __init__(self, width: int, chance: np.random.Generator) -> None:
        self.weights = [
            chance.normal(0.0, np.sqrt(2 / 64), (64, width)).astype(np.float32),
            np.zeros(width, np.float32),
            chance.normal(0.0, np.sqrt(2 / width), (width, 10)).astype(np.float32),
            np.zeros(10, np.float32),
        ]
        self.first = [np.zeros_like(each) for each in self.weights]
        self.second = [np.zeros_like(each) for each in self.weights]
        self.steps = 0

    def loss(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
        _, log_probability = self._forward(x)
        return float(-log_probability[np.arange(len(y)), y].mean())

    def step(self, x: NDArray[np.float32], y: NDArray[np.int64], how: Configuration) -> None:
        hidden, log_probability = self._forward(x)
        at_logits = np.exp(log_probability)
        at_logits[np.arange(len(y)), y] -= 1.0
        at_logits /= len(y)
        at_hidden = (at_logits @ self.weights[2].T) * np.where(hidden > 0, np.float32(1), np.float32(LEAK))
        gradients = [x.T @ at_hidden, at_hidden.sum(0), hidden.T @ at_logits, at_logits.sum(0)]
        rate, beta = float(how["learning_rate"]), 1.0 - float(how["one_minus_momentum"])
        self.steps += 1
        for place, gradient in enumerate(gradients):
            if place in (0, 2):
                self.weights[place] *= np.float32(1.0 - rate * float(how["weight_decay"]))
            if how["optimizer"] == "nesterov":
                self.first[place] = beta * self.first[place] + gradient
                self.weights[place] -= rate * (gradient + beta * self.first[place])
                continue
            self.first[place] = beta * self.first[place] + (1 - beta) * gradient
            self.second[place] = 0.999 * self.second[place] + 0.001 * gradient**2
            mean = self.first[place] / (1 - beta**self.steps)
            spread = np.sqrt(self.second[place] / (1 - 0.999**self.steps)) + 1e-8
            self.weights[place] -= rate * mean / spread

    def _forward(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        hidden = x @ self.weights[0] + self.weights[1]
        hidden = np.maximum(hidden, LEAK * hidden)
        logits = hidden @ self.weights[2] + self.weights[3]
        logits -= logits.max(axis=1, keepdims=True)
        return hidden, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def curve(how: Configuration, *, epochs: int, seed: int = 0) -> list[float]:
    """The validation loss after each epoch."""
    threadpool_limits(1)
    np.seterr(all="ignore")
    images, labels = digits()
    chance = np.random.default_rng(seed)
    model, size = Mlp(int(how["width"]), chance), int(how["batch_size"])
    found: list[float] = []
    for _ in range(epochs):
        order = chance.permutation(1000)
        for start in range(0, 1000 - size + 1, size):
            rows = order[start : start + size]
            model.step(images[:1000][rows], labels[:1000][rows], how)
        loss = model.loss(images[1000:], labels[1000:])
        if not np.isfinite(loss):
            return [*found, *[float("inf")] * (epochs - len(found))]
        found.append(loss)
    return found


if __name__ == "__main__":
    main()
