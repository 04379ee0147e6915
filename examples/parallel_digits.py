"""The same small network trained by several processes, each on its own share of the digits, in NumPy.

    python examples/parallel_digits.py --learning_rate=0.1

trains in one process. With `processes = 2` in the study's [job] (examples/parallel_study.toml) a worker
starts it twice: both hold the same weights, each computes a gradient on its own images, and the mean of the
two is what both apply. The exchange is a few lines of sockets so that nothing has to be installed; with
PyTorch, torch.distributed.init_process_group() reads the same variables, and DistributedDataParallel does
the rest.
"""

import json
import math
import os
import socket
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import tunebook

# Knobs: each can be set on the command line, --name=value ------------------------------------------------
learning_rate = 0.1
momentum = 0.9
batch_size = 64  # of all processes together
width = 64  # hidden units
steps = 1000
evaluate_every = 50
checkpoint_every = 250
seed = 0
# ---------------------------------------------------------------------------------------------------------
knobs = {
    name: value for name, value in globals().items() if type(value) in (int, float, str) and name[0] != "_"
}
for argument in sys.argv[1:]:
    name, _, text = argument.removeprefix("--").partition("=")
    if name not in knobs:
        sys.exit(f"no knob is called {name!r}; there are {', '.join(knobs)}")
    globals()[name] = knobs[name] = type(knobs[name])(text)

threadpool_limits(1)
np.seterr(over="ignore", invalid="ignore")  # a diverging trial is a result

# Every process has the same trial. `seed` is equal in all, so that all begin with the same weights;
# `data_seed` is another one in each, for the order of its own images.
trial = tunebook.current_trial() if tunebook.launched() else None
rank, processes, data_seed = 0, 1, seed
if trial is not None:
    rank, processes = trial.rank, trial.processes
    seed, data_seed = trial.seed, trial.data_seed

# Meeting: rank 0 listens where the worker told all of them, the others call it.
peers = []
if processes > 1:
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if rank == 0:
        server = socket.create_server(place, backlog=processes)
        callers = [server.accept()[0] for _ in range(1, processes)]
        peers = sorted(callers, key=lambda caller: caller.recv(1))  # by rank: sums must not depend on chance
    else:
        patience = time.monotonic() + 60
        while not peers:
            try:
                peers = [socket.create_connection(place)]
            except ConnectionRefusedError:
                if time.monotonic() > patience:
                    raise
                time.sleep(0.05)
        peers[0].sendall(bytes([rank]))


def mean(numbers):
    """Over all processes, the same in each. A process that ended is an error in the others, at once."""
    if rank > 0:
        peers[0].sendall(numbers.tobytes())
        return receive(peers[0], numbers)
    total = numbers.copy()
    for peer in peers:
        total += receive(peer, numbers)
    total /= processes
    for peer in peers:
        peer.sendall(total.tobytes())
    return total


def receive(peer, like):
    content = bytearray()
    while len(content) < like.nbytes:
        piece = peer.recv(like.nbytes - len(content))
        if not piece:
            sys.exit("another process of this trial has ended")
        content += piece
    return np.frombuffer(content, like.dtype)


# Data: those of digits_mlp.py. This process trains on each `processes`-th image, from its rank on.
file = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
table = np.loadtxt(file, delimiter=",", dtype=np.float32)
table = table[np.random.default_rng(20_240_229).permutation(len(table))]
images, labels = table[:, :64] / 16, table[:, 64].astype(int)
valid_images, valid_labels = images[1000:1400], labels[1000:1400]
own_images, own_labels = images[rank:1000:processes], labels[rank:1000:processes]
own_batch = max(1, batch_size // processes)

# Model: one hidden layer of leaky units; all weights in one vector, which is also what is exchanged.
rng = np.random.default_rng(seed)
first = rng.normal(0.0, math.sqrt(2 / 64), 64 * width)
second = rng.normal(0.0, math.sqrt(2 / width), width * 10)
weights = np.concatenate([first, second]).astype(np.float32)
velocity = np.zeros_like(weights)


def forward(x, y):
    hidden = x @ weights[: 64 * width].reshape(64, width)
    hidden = np.maximum(hidden, 0.1 * hidden)
    logits = hidden @ weights[64 * width :].reshape(width, 10)
    logits -= logits.max(axis=1, keepdims=True)
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_probability[np.arange(len(y)), y].mean()
    return loss, (logits.argmax(axis=1) != y).mean(), hidden, log_probability


def gradient(x, y, hidden, log_probability):
    at_logits = np.exp(log_probability)
    at_logits[np.arange(len(y)), y] -= 1.0
    at_logits /= len(y)
    at_hidden = at_logits @ weights[64 * width :].reshape(width, 10).T
    at_hidden *= np.where(hidden > 0, np.float32(1), np.float32(0.1))
    return np.concatenate([(x.T @ at_hidden).ravel(), (hidden.T @ at_logits).ravel()])


def batch(step):
    """The same images for a step whether training came here at once or from a checkpoint."""
    rows = np.random.default_rng((data_seed, step)).integers(len(own_labels), size=own_batch)
    return own_images[rows], own_labels[rows]


def save(step):
    """By rank 0 for all: they hold the same. Under another name first: a checkpoint is whole or absent."""
    path = trial.checkpoint_folder / f"step-{step}.npz"
    if rank == 0:
        with path.with_suffix(".part").open("wb") as file:
            np.savez(file, weights=weights, velocity=velocity)
        path.with_suffix(".part").rename(path)
    trial.checkpoint(step, path)


start = 0
if trial is not None and trial.resume_from is not None:
    with np.load(trial.resume_from) as stored:
        weights, velocity = stored["weights"], stored["velocity"]
    start = trial.resume_step

for step in range(start, steps + 1):
    x, y = batch(step)
    loss, _, hidden, log_probability = forward(x, y)
    # One exchange a step: the gradient, the loss, and whether somebody was asked to stop. A signal reaches
    # the processes at different steps, and one that left alone would leave the others waiting.
    asked = trial is not None and trial.should_stop
    told = np.array([loss, asked], np.float32)
    together = mean(np.concatenate([gradient(x, y, hidden, log_probability), told]))
    loss, stopping = float(together[-2]), together[-1] > 0

    if step % evaluate_every == 0 or step == steps or not math.isfinite(loss):
        valid_loss, valid_error, *_ = forward(valid_images, valid_labels)
        values = {"train/loss": loss, "valid/loss": float(valid_loss), "valid/error": float(valid_error)}
        if trial is not None:
            trial.report(step, values)  # of rank 0; in the others it does nothing
        else:
            print(json.dumps({"step": step, **values}), flush=True)
    if not math.isfinite(loss):
        reason = f"the loss is not finite at step {step}"
        if trial is not None:
            trial.infeasible(reason)
        print(reason, file=sys.stderr)
        sys.exit(tunebook.INFEASIBLE_EXIT_CODE)
    if trial is not None and (stopping or (step > start and step % checkpoint_every == 0)):
        save(step)
    if stopping:
        break
    velocity = momentum * velocity + together[:-2]
    weights = weights - learning_rate * velocity
