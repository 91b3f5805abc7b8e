"""How the weights are found: epoch by epoch with scikit-learn's rules for the end, or by L-BFGS."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from fastdrop.estimators.parameters import dense
from fastdrop.nn import Dense, Sequential
from fastdrop.nn.batches import InMemory, slices


class Samples(NamedTuple):
    """Inputs, dense or CSR; targets as the loss takes them; weights above 0, or None."""

    x: Any
    y: np.ndarray
    weights: np.ndarray | None

    def batches(self, order: np.ndarray, size: int, dtype: Any) -> Iterator[tuple]:
        """Parts of them in that order. An array of inputs is good until the next one."""
        parts = (order[batch] for batch in slices(len(order), size))
        read: Iterator[tuple]
        if issparse(self.x):
            read = ((rows, self.x[rows].toarray().astype(dtype)) for rows in parts)
        else:
            read = InMemory(self.x, dtype, size).read(parts)
        for rows, x in read:
            yield x, self.y[rows], None if self.weights is None else self.weights[rows]


def by_epochs(
    estimator: Any, model: Sequential, train: Samples, held_out: Samples | None, partial: bool
) -> None:
    """Train until nothing gets better, or for one epoch; what is learned on the way is
    the estimator's."""
    e, last = estimator, 1 if partial else estimator.max_iter
    size, order = _batch_size(e.batch_size, len(train.y)), np.arange(len(train.y))
    best = None if held_out is None else _copies(model)
    _open_record(e, held_out is not None)
    try:
        while e.n_iter_ < last:
            if e.shuffle:
                # As scikit-learn's `shuffle`, whose checks take as long as a step.
                order = order[e._random_state.permutation(len(order))]
            where = f"{type(e).__name__}.fit, epoch {e.n_iter_}"
            e.loss_ = _epoch(model, train, order, size, e.alpha, where)
            e.n_iter_ += 1
            e.t_ += len(order)
            e.loss_curve_.append(e.loss_)
            if e.verbose:
                print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
            if held_out is None:
                _follow(e)
            elif _scored(e, e._held_out_score(model, held_out)):
                best = _copies(model)
            if e.solver == "sgd" and e.learning_rate == "invscaling":
                model.optimizer.learning_rate = e.learning_rate_init / (e.t_ + 1) ** e.power_t
            if e._no_improvement_count > e.n_iter_no_change and _ended(e, model):
                break
        else:
            if not partial:
                _not_converged(e, f"max_iter={last} epochs were reached", stacklevel=5)
    except FloatingPointError as error:
        raise ValueError(f"{error}; or X has to be scaled") from None
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=4)
    finally:
        _forget(model)
        if best is not None:
            for param, kept in zip(params(model), best, strict=True):
                param[...] = kept


def by_lbfgs(estimator: Any, model: Sequential, train: Samples) -> None:
    """Minimise the loss of all samples together, without noise."""
    e = estimator
    x = train.x.toarray() if issparse(train.x) else train.x
    y, weights, weight = train.y, train.weights, len(train.y)
    if weights is not None:
        weight = weights.sum()
        weights = weights * (len(y) / weight)
    _penalise(dense(model), e.alpha / weight)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        _unpack(flat, model)
        outputs = model.forward(x, training=True)
        loss = model.loss.forward(outputs, y, weights)
        loss += sum(layer.penalty() for layer in model.layers)
        model.backward(model.loss.backward())
        grads = [grad.ravel() for layer in model.layers for grad in layer.grads.values()]
        return loss, np.concatenate(grads).astype(np.float64)

    flat = np.concatenate([param.ravel() for param in params(model)]).astype(np.float64)
    options = {"maxiter": e.max_iter, "maxfun": e.max_fun, "gtol": e.tol}
    found = minimize(loss_and_gradient, flat, method="L-BFGS-B", jac=True, options=options)
    _unpack(found.x, model)
    _forget(model)
    if not all(np.isfinite(param).all() for param in params(model)):
        raise ValueError(f"{type(e).__name__}.fit: lbfgs gave weights that are not finite: scale X")
    e.n_iter_, e.loss_ = min(found.nit, e.max_iter), float(found.fun)
    if e.verbose:
        print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
    if not found.success:
        _not_converged(e, f"lbfgs stopped with {found.message!r}", stacklevel=5)


def params(model: Sequential) -> list[np.ndarray]:
    """Weights and biases, layer by layer."""
    return [param for layer in model.layers for param in layer.params.values()]


def _epoch(
    model: Sequential, train: Samples, order: np.ndarray, size: int, alpha: float, where: str
) -> float:
    """Mean loss of the batches, each of which is learned."""
    total, layers = 0.0, dense(model)
    for x, y, weights in train.batches(order, size, model.dtype):
        weight: Any = len(y)
        if weights is not None:
            weight = weights.sum()
            # A mean by weight, whatever their sum.
            weights = weights * (len(y) / weight)
        _penalise(layers, alpha / weight)
        # Not `train_batch`: what it checks was checked, and would take as long as the loss.
        total += model._step(x, y, weights, where)[0] * len(y)
    return total / len(order)


def _batch_size(given: Any, samples: int) -> int:
    if given == "auto":
        return min(200, samples)
    if given > samples:
        warnings.warn(
            f"batch_size {given} is clipped to the number of samples, {samples}", stacklevel=5
        )
    return min(given, samples)


def _penalise(layers: list[Dense], alpha: float) -> None:
    """With half of `alpha` times the squares, as scikit-learn has it."""
    for layer in layers:
        layer.l2 = alpha / 2


def _forget(model: Sequential) -> None:
    """Let go of what only the next step would need, and a pickle would hold."""
    for layer in model.layers:
        layer.forget()
        layer.grads = {}


def _copies(model: Sequential) -> list[np.ndarray]:
    return [param.copy() for param in params(model)]


def _unpack(flat: np.ndarray, model: Sequential) -> None:
    begin = 0
    for param in params(model):
        param[...] = flat[begin : begin + param.size].reshape(param.shape)
        begin += param.size


def _not_converged(e: Any, how: str, stacklevel: int) -> None:
    text = f"{type(e).__name__}: {how} and the optimization hasn't converged yet"
    warnings.warn(text, ConvergenceWarning, stacklevel=stacklevel)


def _open_record(e: Any, early_stopping: bool) -> None:
    """Begin what is not begun: a fit with `warm_start` goes on with what is there."""
    e.n_iter_ = 0
    if early_stopping:
        e.best_loss_ = None
        if e.validation_scores_ is None:
            e.validation_scores_, e.best_validation_score_ = [], -np.inf
    elif e.best_loss_ is None:
        e.best_loss_ = np.inf


def _follow(e: Any) -> None:
    """Count the epochs whose training loss is not better than the best."""
    better = e.loss_ <= e.best_loss_ - e.tol
    e._no_improvement_count = 0 if better else e._no_improvement_count + 1
    e.best_loss_ = min(e.best_loss_, e.loss_)


def _scored(e: Any, score: float) -> bool:
    """Whether that score of the samples held out is the best so far."""
    e.validation_scores_.append(score)
    if e.verbose:
        print(f"Validation score: {score:f}")
    worse = score < e.best_validation_score_ + e.tol
    e._no_improvement_count = e._no_improvement_count + 1 if worse else 0
    if score <= e.best_validation_score_:
        return False
    e.best_validation_score_ = score
    return True


def _ended(e: Any, model: Sequential) -> bool:
    """Whether a standstill is the end: an adaptive learning rate goes on with a fifth."""
    what = "Validation score" if e.early_stopping else "Training loss"
    said = (
        f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} "
        "consecutive epochs."
    )
    rate, small = model.optimizer.rate_at(0), 1e-6
    adaptive = e.solver == "sgd" and e.learning_rate == "adaptive"
    if not adaptive or rate <= small:
        if e.verbose:
            print(said, "Learning rate too small. Stopping." if adaptive else "Stopping.")
        return True
    model.optimizer.learning_rate = rate / 5
    e._no_improvement_count = 0
    if e.verbose:
        print(f"{said} Setting learning rate to {rate / 5:f}")
    return False
