"""A two-layer MLP on scikit-learn's handwritten digits, in NumPy, about two seconds on one core.

    python examples/digits_mlp.py --optimizer=adam --learning_rate=0.003

prints one JSON line per evaluation. Started by a Tunebook worker it reports to the dashboard instead, and
goes on from its last checkpoint if the worker, or the machine, was lost on the way.
"""

import functools
import json
import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import tunebook

# Knobs: each can be set on the command line, --name=value ------------------------------------------------
optimizer = "nesterov"  # or "adam"
learning_rate = 0.1
momentum = 0.9  # nesterov only
beta1 = 0.9  # adam only, as are the next two
beta2 = 0.999
epsilon = 1e-8
one_minus_momentum = 0.0  # above 0, it sets momentum: what a search varies, on a log scale
one_minus_beta1 = 0.0  # the same for beta1
weight_decay = 1e-4  # decoupled from the gradient, on weights and not on biases
schedule = "cosine"  # or "linear", "constant": how the learning rate falls to zero
warmup_steps = 0  # the learning rate rises over this many steps first
batch_size = 64
width = 128  # hidden units
steps = 4000
evaluate_every = 100
checkpoint_every = 1000
seed = 0  # initialisation and data order
measure_test = 0  # 1: at the very end. Look once a round, or the test set becomes a second validation set
# ---------------------------------------------------------------------------------------------------------
knobs = {
    name: value for name, value in globals().items() if type(value) in (int, float, str) and name[0] != "_"
}
for argument in sys.argv[1:]:
    name, _, text = argument.removeprefix("--").partition("=")
    if name not in knobs:
        sys.exit(f"no knob is called {name!r}; there are {', '.join(knobs)}")
    globals()[name] = knobs[name] = type(knobs[name])(text)

if one_minus_momentum > 0:
    momentum = 1.0 - one_minus_momentum
if one_minus_beta1 > 0:
    beta1 = 1.0 - one_minus_beta1

threadpool_limits(1)  # matrices this small only lose by being shared, and other trials want the other cores
np.seterr(over="ignore", invalid="ignore")  # a diverging trial is a result

trial = tunebook.current_trial() if tunebook.launched() else None
if trial is not None:
    seed = trial.seed

# Data: 1,797 images of 8 × 8 pixels, split once and for all; `seed` has no part in it.
# The file is that of sklearn.datasets.load_digits(), whose import takes longer than this training.
file = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
table = np.loadtxt(file, delimiter=",", dtype=np.float32)
table = table[np.random.default_rng(20_240_229).permutation(len(table))]
images, labels = table[:, :64] / 16, table[:, 64].astype(int)
data = {
    "train": (images[:1000], labels[:1000]),
    "valid": (images[1000:1400], labels[1000:1400]),
    "test": (images[1400:], labels[1400:]),
}
train_images, train_labels = data["train"]

# Model: one hidden layer, softmax, He initialisation. Leaky units cannot die, so a learning rate that is too
# large shows as a loss that is not finite, and not as a network that has silently stopped to learn.
LEAK = 0.1
rng = np.random.default_rng(seed)
model = {
    "w1": rng.normal(0.0, math.sqrt(2 / 64), (64, width)).astype(np.float32),
    "b1": np.zeros(width, np.float32),
    "w2": rng.normal(0.0, math.sqrt(2 / width), (width, 10)).astype(np.float32),
    "b2": np.zeros(10, np.float32),
}
first = {name: np.zeros_like(weights) for name, weights in model.items()}  # momentum, or Adam's first moment
second = {name: np.zeros_like(weights) for name, weights in model.items()}  # Adam's second moment


def forward(x, y):
    """Mean cross-entropy, error rate, and what the backward pass needs."""
    hidden = x @ model["w1"] + model["b1"]
    hidden = np.maximum(hidden, LEAK * hidden)
    logits = hidden @ model["w2"] + model["b2"]
    logits -= logits.max(axis=1, keepdims=True)
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_probability[np.arange(len(y)), y].mean()
    return float(loss), float((logits.argmax(axis=1) != y).mean()), hidden, log_probability


def backward(x, y, hidden, log_probability):
    """Gradients of the mean cross-entropy."""
    at_logits = np.exp(log_probability)
    at_logits[np.arange(len(y)), y] -= 1.0
    at_logits /= len(y)
    at_hidden = (at_logits @ model["w2"].T) * np.where(hidden > 0, np.float32(1), np.float32(LEAK))
    return {
        "w1": x.T @ at_hidden,
        "b1": at_hidden.sum(axis=0),
        "w2": hidden.T @ at_logits,
        "b2": at_logits.sum(axis=0),
    }


def rate(step):
    """The learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return learning_rate * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    shape = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + math.cos(math.pi * done))}
    return learning_rate * shape[schedule]


def update(step, gradients):
    for name, gradient in gradients.items():
        if name in ("w1", "w2"):
            model[name] *= 1.0 - rate(step) * weight_decay
        if optimizer == "nesterov":
            first[name] = momentum * first[name] + gradient
            model[name] -= rate(step) * (gradient + momentum * first[name])
        else:
            first[name] = beta1 * first[name] + (1.0 - beta1) * gradient
            second[name] = beta2 * second[name] + (1.0 - beta2) * gradient**2
            mean, variance = (
                first[name] / (1.0 - beta1 ** (step + 1)),
                second[name] / (1.0 - beta2 ** (step + 1)),
            )
            model[name] -= rate(step) * mean / (np.sqrt(variance) + epsilon)


def batch(step):
    """The same images for a step whether training came here at once or from a checkpoint."""
    passes, place = divmod(step, len(train_labels) // batch_size)
    rows = order(passes)[place * batch_size : (place + 1) * batch_size]
    return train_images[rows], train_labels[rows]


@functools.lru_cache(maxsize=1)
def order(passes):
    return np.random.default_rng((seed, passes)).permutation(len(train_labels))


def report(step, values):
    if trial is not None:
        trial.report(step, values)
    else:
        print(json.dumps({"step": step, **values}), flush=True)


def save(step):
    """Under another name first: a checkpoint is whole or absent."""
    path = trial.checkpoint_folder / f"step-{step}.npz"
    arrays = {"first": first, "second": second, "model": model}
    with path.with_suffix(".part").open("wb") as file:
        np.savez(
            file,
            **{f"{group}/{name}": value for group, part in arrays.items() for name, value in part.items()},
        )
    path.with_suffix(".part").rename(path)
    trial.checkpoint(step, path)


def load(path):
    with np.load(Path(path)) as stored:
        for group, part in {"first": first, "second": second, "model": model}.items():
            for name in part:
                part[name] = stored[f"{group}/{name}"]


start = 0
if trial is not None and trial.resume_from is not None:
    load(trial.resume_from)
    start = trial.resume_step

since, since_step = time.perf_counter(), start
for step in range(start, steps + 1):
    x, y = batch(step)
    loss, _, hidden, log_probability = forward(x, y)
    gradients = backward(x, y, hidden, log_probability)

    if step % evaluate_every == 0 or step == steps or not math.isfinite(loss):
        step_seconds = (time.perf_counter() - since) / max(step - since_step, 1)
        train_loss, train_error, *_ = forward(*data["train"])
        valid_loss, valid_error, *_ = forward(*data["valid"])
        values = {
            "train/loss": train_loss,
            "train/error": train_error,
            "valid/loss": valid_loss,
            "valid/error": valid_error,
            "grad/norm": math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values())),
            "time/step_seconds": step_seconds,
        }
        if measure_test and step == steps:
            values["test/error"] = forward(*data["test"])[1]
        report(step, values)
        since, since_step = time.perf_counter(), step

    if not math.isfinite(loss):
        reason = f"the loss is not finite at step {step}"
        if trial is not None:
            trial.infeasible(reason)
        print(reason, file=sys.stderr)
        sys.exit(tunebook.INFEASIBLE_EXIT_CODE)
    if trial is not None and trial.should_stop:
        save(step)
        break
    if trial is not None and step > start and step % checkpoint_every == 0:
        save(step)
    if step < steps:
        update(step, gradients)
