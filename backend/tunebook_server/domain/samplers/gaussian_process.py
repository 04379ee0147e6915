"""Gaussian-process regression on the unit cube: Matérn-5/2, a length scale a dimension, mixed columns.

Distances add up over dimensions: squared on numeric ones, 0 or 1 on nominal ones (Hamming), each over the
square of its length scale. Hyperparameters are those of highest posterior density under log-normal priors
(Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5), found by L-BFGS-B with
exact gradients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

ROOT_FIVE = np.sqrt(5.0)
JITTER = 1e-8
LENGTH_PRIOR = (np.log(0.7), 0.7)
"""Mean and deviation of the logarithm of a length scale, as a share of its range."""
SIGNAL_PRIOR = (0.0, 0.7)
"""Of the variance, of values that are standardised."""
NOISE_PRIOR = (np.log(1e-3), 2.0)
BOUNDS = {"length": (np.log(0.03), np.log(30.0)), "signal": (-4.0, 4.0), "noise": (np.log(1e-6), np.log(1.0))}
STEPS_MOST = 60


@dataclass(frozen=True)
class Inputs:
    """Points as the kernel reads them: `numeric` (n, A), `nominal` (n, B) with a number for each value."""

    numeric: Array
    nominal: Array

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def width(self) -> int:
        return int(self.numeric.shape[1] + self.nominal.shape[1])

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Inputs":
        return Inputs(self.numeric[chosen], self.nominal[chosen])

    def below(self, other: "Inputs") -> "Inputs":
        return Inputs(np.vstack([self.numeric, other.numeric]), np.vstack([self.nominal, other.nominal]))


@dataclass(frozen=True)
class Kernel:
    """`lengths`: (A + B,), numeric dimensions first; `signal` and `noise` are variances."""

    lengths: Array
    signal: float
    noise: float

    def between(self, left: Inputs, right: Inputs) -> Array:
        """Shape (len(left), len(right)), without noise."""
        found = _matern(self._squares(left, right))
        found *= self.signal
        return found

    def _squares(self, left: Inputs, right: Inputs) -> Array:
        split = left.numeric.shape[1]
        a, b = left.numeric / self.lengths[:split], right.numeric / self.lengths[:split]
        squares: Array = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
        for column, length in enumerate(self.lengths[split:]):
            squares += (left.nominal[:, column, None] != right.nominal[:, column]) / length**2
        np.maximum(squares, 0.0, out=squares)
        return squares


@dataclass(frozen=True)
class Posterior:
    """Conditioned on `inputs` and their values; `factor` is the Cholesky factor of their covariance."""

    kernel: Kernel
    inputs: Inputs
    factor: Array
    weights: Array
    mean: float

    def predict(self, at: Inputs) -> tuple[Array, Array]:
        """Mean and variance of the noiseless function, each of shape (len(at),)."""
        shared = self.kernel.between(self.inputs, at)
        mean = self.mean + shared.T @ self.weights
        reach = solve_triangular(self.factor, shared, lower=True, check_finite=False)
        variance = self.kernel.signal - np.einsum("ij,ij->j", reach, reach)
        return mean, np.maximum(variance, 1e-12 * self.kernel.signal)

    def mean_at(self, at: Inputs) -> Array:
        found: Array = self.mean + self.kernel.between(at, self.inputs) @ self.weights
        return found

    def believing(self, at: Inputs) -> "Posterior":
        """As if the function had been seen at these points, at its mean there (the kriging believer of
        Ginsbourger, Le Riche & Carraro, 2010): the mean stays everywhere, the variance shrinks."""
        if not len(at):
            return self
        inputs = self.inputs.below(at)
        corner = solve_triangular(self.factor, self.kernel.between(self.inputs, at), lower=True)
        rest = self.kernel.between(at, at) - corner.T @ corner
        rest[np.diag_indices(len(at))] += self.kernel.noise + JITTER * self.kernel.signal
        factor = np.block([[self.factor, np.zeros_like(corner)], [corner.T, _factor(rest)]])
        weights = np.append(self.weights, np.zeros(len(at)))
        return Posterior(self.kernel, inputs, factor, weights, self.mean)


def condition(kernel: Kernel, inputs: Inputs, values: Array, *, mean: float = 0.0) -> Posterior:
    covariance = kernel.between(inputs, inputs)
    covariance[np.diag_indices(len(inputs))] += kernel.noise + JITTER * kernel.signal
    factor = _factor(covariance)
    return Posterior(kernel, inputs, factor, cho_solve((factor, True), values - mean), mean)


def fit(inputs: Inputs, values: Array) -> Kernel:
    """The kernel of highest posterior density for standardised values; O(n³ + n² D) a step."""
    width = inputs.width
    start = np.concatenate([np.full(width, LENGTH_PRIOR[0]), [SIGNAL_PRIOR[0], NOISE_PRIOR[0]]])
    bounds = [BOUNDS["length"]] * width + [BOUNDS["signal"], BOUNDS["noise"]]
    density = _Density(inputs, values)
    found = minimize(
        density,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS_MOST, "ftol": 1e-6},
    )
    best = found.x if np.isfinite(found.fun) else start
    return _kernel(best)


def _kernel(logarithms: Array) -> Kernel:
    return Kernel(np.exp(logarithms[:-2]), float(np.exp(logarithms[-2])), float(np.exp(logarithms[-1])))


class _Density:
    """The negative logarithm of the posterior density of a kernel, and its gradient."""

    def __init__(self, inputs: Inputs, values: Array) -> None:
        numeric = inputs.numeric.T[:, :, None] - inputs.numeric.T[:, None, :]
        nominal = inputs.nominal.T[:, :, None] != inputs.nominal.T[:, None, :]
        self._apart = np.concatenate([numeric**2, nominal.astype(float)])
        """(D, n, n): squared distances in each dimension."""
        self._flat = self._apart.reshape(len(self._apart), -1)
        self._values = values
        self._centres = np.array([LENGTH_PRIOR[0]] * inputs.width + [SIGNAL_PRIOR[0], NOISE_PRIOR[0]])
        self._spreads = np.array([LENGTH_PRIOR[1]] * inputs.width + [SIGNAL_PRIOR[1], NOISE_PRIOR[1]])

    def __call__(self, logarithms: Array) -> tuple[float, Array]:
        kernel, count = _kernel(logarithms), len(self._values)
        shares = kernel.lengths**-2
        distance = np.sqrt(shares @ self._flat).reshape(count, count)
        decay = np.exp(-ROOT_FIVE * distance)
        correlation = (1 + ROOT_FIVE * distance + 5 / 3 * distance**2) * decay
        covariance = kernel.signal * correlation
        covariance[np.diag_indices(count)] += kernel.noise + JITTER * kernel.signal
        try:
            factor = cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return np.inf, np.zeros_like(logarithms)
        weights = cho_solve((factor, True), self._values, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
        pull = np.outer(weights, weights) - inverse
        off = (logarithms - self._centres) / self._spreads
        value = 0.5 * self._values @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        # d k / d log(length) = signal · 5/3 · (1 + √5 r) · exp(−√5 r) · (squared distance of that dimension)
        slope = pull * (kernel.signal * 5 / 3 * (1 + ROOT_FIVE * distance) * decay)
        lengths = -0.5 * shares * (self._flat @ slope.ravel())
        signal = -0.5 * kernel.signal * np.einsum("ij,ij", pull, correlation)
        noise = -0.5 * kernel.noise * np.trace(pull)
        return float(value), np.concatenate([lengths, [signal, noise]]) + off / self._spreads


def _matern(squares: Array) -> Array:
    """Of squared distances, which are used up: what an ask spends its time on makes no copies."""
    scaled = np.sqrt(squares, out=squares)
    scaled *= ROOT_FIVE
    found = scaled * scaled
    found /= 3.0
    found += scaled
    found += 1.0
    np.negative(scaled, out=scaled)
    found *= np.exp(scaled, out=scaled)
    return found


def _factor(covariance: Array) -> Array:
    """Cholesky, with as much more on the diagonal as it takes."""
    jitter = JITTER * float(np.mean(np.diag(covariance)))
    for _ in range(8):
        try:
            found: Array = cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            covariance = covariance + jitter * np.eye(len(covariance))
            jitter *= 10
        else:
            return found
    raise np.linalg.LinAlgError("the covariance is not positive definite")
