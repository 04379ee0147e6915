"""A small convolutional network on scikit-learn's handwritten digits, in PyTorch; on CUDA where there is one.

    python examples/torch_cnn.py --optimizer=adam --learning_rate=0.003

The same knobs, metrics and checkpoints as digits_mlp.py, so that one study file serves both.
"""

import functools
import json
import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

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
width = 32  # channels of the first layer; the second has twice as many
steps = 1000
evaluate_every = 100
checkpoint_every = 500
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

trial = tunebook.current_trial() if tunebook.launched() else None
if trial is not None:
    seed = trial.seed
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(seed)

# Data: 1,797 images of 8 × 8 pixels, split once and for all; `seed` has no part in it.
# The file is that of sklearn.datasets.load_digits(), without its long import.
file = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
table = np.loadtxt(file, delimiter=",", dtype=np.float32)
table = table[np.random.default_rng(20_240_229).permutation(len(table))]
images = torch.from_numpy(table[:, :64].reshape(-1, 1, 8, 8) / 16).to(device)
labels = torch.from_numpy(table[:, 64].astype(np.int64)).to(device)
data = {
    "train": (images[:1000], labels[:1000]),
    "valid": (images[1000:1400], labels[1000:1400]),
    "test": (images[1400:], labels[1400:]),
}
train_images, train_labels = data["train"]

# Model: two convolutions with a pooling between, one linear layer.
model = nn.Sequential(
    nn.Conv2d(1, width, 3, padding=1),
    nn.LeakyReLU(0.1),
    nn.MaxPool2d(2),
    nn.Conv2d(width, 2 * width, 3, padding=1),
    nn.LeakyReLU(0.1),
    nn.Flatten(),
    nn.Linear(2 * width * 16, 10),
).to(device)
groups = [
    {"params": [p for p in model.parameters() if p.ndim > 1], "decay": weight_decay},
    {"params": [p for p in model.parameters() if p.ndim == 1], "decay": 0.0},
]
if optimizer == "nesterov":
    stepper = torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0)
else:
    stepper = torch.optim.Adam(groups, lr=learning_rate, betas=(beta1, beta2), eps=epsilon)


def rate(step):
    """The learning rate at a step, counted from 0."""
    if step < warmup_steps:
        return learning_rate * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    shape = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + math.cos(math.pi * done))}
    return learning_rate * shape[schedule]


def update(step):
    for group in stepper.param_groups:
        group["lr"] = rate(step)
        with torch.no_grad():
            for weights in group["params"]:
                weights.mul_(1.0 - group["lr"] * group["decay"])
    stepper.step()


@torch.no_grad()
def measure(x, y):
    """Mean cross-entropy and error rate."""
    logits = model(x)
    return cross_entropy(logits, y).item(), (logits.argmax(dim=1) != y).float().mean().item()


def batch(step):
    """The same images for a step whether training came here at once or from a checkpoint."""
    passes, place = divmod(step, len(train_labels) // batch_size)
    rows = order(passes)[place * batch_size : (place + 1) * batch_size]
    return train_images[rows], train_labels[rows]


@functools.lru_cache(maxsize=1)
def order(passes):
    return torch.from_numpy(np.random.default_rng((seed, passes)).permutation(len(train_labels))).to(device)


def report(step, values):
    if trial is not None:
        trial.report(step, values)
    else:
        print(json.dumps({"step": step, **values}), flush=True)


def save(step):
    """Under another name first: a checkpoint is whole or absent."""
    path = trial.checkpoint_folder / f"step-{step}.pt"
    torch.save({"model": model.state_dict(), "stepper": stepper.state_dict()}, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    trial.checkpoint(step, path)


def load(path):
    stored = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(stored["model"])
    stepper.load_state_dict(stored["stepper"])


start = 0
if trial is not None and trial.resume_from is not None:
    load(trial.resume_from)
    start = trial.resume_step

since, since_step = time.perf_counter(), start
for step in range(start, steps + 1):
    x, y = batch(step)
    stepper.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    loss = loss.item()

    if step % evaluate_every == 0 or step == steps or not math.isfinite(loss):
        step_seconds = (time.perf_counter() - since) / max(step - since_step, 1)
        train_loss, train_error = measure(*data["train"])
        valid_loss, valid_error = measure(*data["valid"])
        values = {
            "train/loss": train_loss,
            "train/error": train_error,
            "valid/loss": valid_loss,
            "valid/error": valid_error,
            "grad/norm": math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters())),
            "time/step_seconds": step_seconds,
        }
        if measure_test and step == steps:
            values["test/error"] = measure(*data["test"])[1]
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
        update(step)
