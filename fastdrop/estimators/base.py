"""What both estimators share: from data to a trained network, and what that predicts."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastdrop.estimators.parameters import check_parameters, dense, network, start
from fastdrop.estimators.solvers import Samples, by_epochs, by_lbfgs, params
from fastdrop.nn import Loss, MonteCarlo, Sequential
from fastdrop.nn.batches import slices

FLOATS = (np.float64, np.float32)
# Rows of a sparse X that are dense at once in predictions.
ROWS = 1024


class MLP(BaseEstimator):
    """A multi-layer perceptron; subclasses know targets and what outputs say of them."""

    # Whether targets are numbers, and not names of classes.
    _numbers: bool
    _network: Sequential
    loss_curve_: list[float]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train until `tol` or `max_iter` ends it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 is computed in float32, all else in float64. Of a sparse
            matrix one batch at a time is made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, an indicator matrix of several labels, or numbers.
        sample_weight : array-like of shape (n_samples,), optional
            At least 0, and not all 0: how often a sample counts. Those of 0
            are left out.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are of a wrong kind or do not fit each
            other, or the loss becomes NaN or infinite.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter` ends it.
        """
        return self._fit(X, y, sample_weight, partial=False)

    def predict_mc(
        self,
        X: Any,
        samples: int = 50,
        random_state: Any = None,
        *,
        return_samples: bool = False,
    ) -> MonteCarlo:
        """Predictions with the noise left on, many times: how sure the network is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A sparse matrix is made dense.
        samples : int, default 50
            How often each row is predicted, at least 1.
        random_state : None, int or RandomState
            Where the noise comes from. An int gives the same every time.
        return_samples : bool, default False
            Keep all samples.

        Returns
        -------
        fastdrop.nn.MonteCarlo
            ``mean`` and ``std`` in the shape of `predict_proba` of a classifier
            and of `predict` of a regressor; for classes ``entropy`` and
            ``mutual_information`` (n_samples,), else None; ``samples`` with an
            axis more in front, or None.

        Raises
        ------
        ValueError
            If the estimator has no noise, or as `predict`.

        References
        ----------
        Gal, Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.
        """
        where = f"{type(self).__name__}.predict_mc"
        X = self._checked(X)
        if not any(layer.noisy for layer in self._network.layers):
            raise ValueError(
                f"{where}: needs a fit with dropout or input_dropout above 0, got both 0"
            )
        rng = int(check_random_state(random_state).randint(2**63 - 1, dtype=np.int64))
        x = X.toarray() if issparse(X) else X
        found = _alone(self._network).predict_mc(x, samples, rng, return_samples=return_samples)
        kept = None if found.samples is None else self._shaped(found.samples)
        return found._replace(
            mean=self._shaped(found.mean), std=self._shaped(found.std, spread=True), samples=kept
        )

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights of each layer, (in, units): the network's own arrays."""
        return [layer.params["weight"] for layer in dense(self._fitted())]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases of each layer, (units,): the network's own arrays."""
        return [layer.params["bias"] for layer in dense(self._fitted())]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _by_epochs(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit needs the solver 'adam' or 'sgd', got 'lbfgs'")
        return True

    def _weigh(
        self, targets: np.ndarray, weights: np.ndarray | None, where: str
    ) -> np.ndarray | None:
        return weights

    def _fit(self, X: Any, y: Any, sample_weight: Any, partial: bool) -> Any:
        where = f"{type(self).__name__}.{'partial_fit' if partial else 'fit'}"
        check_parameters(self.get_params(deep=False), where)
        if partial and self.early_stopping:
            raise ValueError(f"{where}: early_stopping must be False, for there is but one epoch")
        fresh = not (hasattr(self, "_network") and (self.warm_start or partial))
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            dtype=FLOATS,
            reset=fresh,
            y_numeric=self._numbers,
        )
        targets, loss = self._targets(y, fresh, partial, where)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        weights = self._weigh(targets, weights, where)
        if fresh:
            self.n_outputs_ = targets.shape[1] if targets.ndim == 2 else len(self.classes_)
        targets = loss.check(targets, (len(targets), self.n_outputs_), where)
        if targets.ndim == 2:
            targets = targets.astype(X.dtype)
        train = _counted(Samples(X, targets, weights), where)
        self._random_state = check_random_state(self.random_state)
        self._begin(train, loss, fresh, partial, where)
        if self.solver == "lbfgs":
            by_lbfgs(self, self._network, train)
        else:
            held_out = None
            if self.early_stopping:
                # Only two classes are stratified, as by scikit-learn.
                stratify = train.y if self._stratifies() else None
                train, held_out = self._split(train, stratify, where)
            by_epochs(self, self._network, train, held_out, partial)
        return self

    def _begin(self, train: Samples, loss: Loss, fresh: bool, partial: bool, where: str) -> None:
        """The network to train, and where its record begins."""
        before = None if fresh else self._network
        if partial and before is not None:
            return
        shape = self.n_features_in_, self.n_outputs_
        # Of a copy: with dropout or without, the numbers drawn after this one are the
        # same, and they are scikit-learn's, in its order.
        rng = int(deepcopy(self._random_state).randint(2**63 - 1, dtype=np.int64))
        dtype = train.x.dtype if before is None else before.dtype
        made = network(self.get_params(deep=False), shape, loss, dtype, rng, where)
        if before is None:
            start(made, self.activation, self._random_state)
            self.n_layers_ = len(dense(made)) + 1
            self.t_, self._no_improvement_count, self.loss_curve_ = 0, 0, []
            self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
        else:
            shapes = [[param.shape for param in params(model)] for model in (made, before)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"{where}: with warm_start, hidden_layer_sizes must be those of the last fit, "
                    f"got {self.hidden_layer_sizes!r}"
                )
            for param, last in zip(params(made), params(before), strict=True):
                param[...] = last
        self._network = made

    def _split(self, train: Samples, stratify: Any, where: str) -> tuple[Samples, Samples]:
        """What is trained on, and what is held out to see when to stop."""
        parts = train_test_split(
            *(array for array in train if array is not None),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if train.weights is None:
            parts += [None, None]
        kept, held_out = Samples(*parts[::2]), Samples(*parts[1::2])
        if len(held_out.y) < 2:
            raise ValueError(
                f"{where}: validation_fraction {self.validation_fraction} of {len(train.y)} "
                f"samples leaves {len(held_out.y)} to stop by, and at least 2 are needed"
            )
        return kept, held_out

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self, "_network")
        return validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False)

    def _predicted(self, X: Any) -> np.ndarray:
        """What the loss makes of outputs, (n_samples, n_outputs)."""
        X = self._checked(X)
        return predicted(self._network, X)

    def _fitted(self) -> Sequential:
        check_is_fitted(self, "_network")
        return self._network


def predicted(model: Sequential, X: Any) -> np.ndarray:
    """Of an X that was checked."""
    model = _alone(model)
    if not issparse(X):
        return model.predict(X)
    return np.concatenate([model.predict(X[r].toarray()) for r in slices(X.shape[0], ROWS)])


def _alone(model: Sequential) -> Sequential:
    """The same weights in layers that nobody else computes with: several threads may
    predict at once, and a layer remembers its last output."""
    twin = copy(model)
    twin.layers = [copy(layer) for layer in model.layers]
    return twin


def _counted(given: Samples, where: str) -> Samples:
    """Without those of weight 0, which would take places in batches."""
    x, y, weights = given
    if weights is None or (counts := weights > 0).all():
        return given
    if not counts.any():
        raise ValueError(f"{where}: sample weights must not all be zero")
    return Samples(x[counts], y[counts], weights[counts])
