"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fastdrop.estimators.base import MLP, predicted
from fastdrop.estimators.parameters import check_choice
from fastdrop.estimators.solvers import Samples
from fastdrop.estimators.terms import HalfPoissonDeviance, HalfSquaredError
from fastdrop.nn import Loss, Sequential

# What each is called, and how outputs become predictions.
_LOSSES: dict[str, tuple[type[Loss], str]] = {
    "squared_error": (HalfSquaredError, "identity"),
    "poisson": (HalfPoissonDeviance, "exp"),
}


class MLPRegressor(RegressorMixin, MLP):
    """scikit-learn's multi-layer perceptron regressor, with dropout, and quicker.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        What is minimised. "poisson" predicts ``exp(output)``, and `y` is at least 0.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, \
learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, \
n_iter_no_change, max_fun, dropout, input_dropout, kind, max_norm
        As of `MLPClassifier`.

    Attributes
    ----------
    out_activation_ : {"identity", "exp"}
        What makes predictions of outputs.
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, \
best_validation_score_, n_iter_, t_, n_features_in_, n_layers_, n_outputs_, feature_names_in_
        As of `MLPClassifier`; the validation scores are R2.

    See Also
    --------
    MLPClassifier : Its notes are true here, too.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdrop import MLPRegressor
    >>> X = np.random.default_rng(0).random((500, 2))
    >>> y = X @ [1.0, 2.0]
    >>> reg = MLPRegressor(dropout=0.05, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.9
    True
    >>> found = reg.predict_mc(X[:3], random_state=0)
    >>> found.mean.shape, found.std.shape
    ((3,), (3,))
    """

    _numbers = True

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dropout=0.0,
        input_dropout=0.0,
        kind="dropout",
        max_norm=None,
    ):
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    @available_if(MLP._by_epochs)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch, from where the last call or fit ended.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As `fit`; with early stopping.
        """
        return self._fit(X, y, sample_weight, partial=True)

    def predict(self, X: Any) -> np.ndarray:
        """What the network expects.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Without noise; `predict_mc` samples.
        """
        return self._shaped(self._predicted(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: Any, fresh: bool, partial: bool, where: str) -> tuple[np.ndarray, Loss]:
        check_choice(self.loss, "loss", _LOSSES, where)
        loss, self.out_activation_ = _LOSSES[self.loss]
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y.reshape(len(y), -1), loss()

    def _stratifies(self) -> bool:
        return False

    def _held_out_score(self, model: Sequential, held_out: Samples) -> float:
        return r2_score(held_out.y, predicted(model, held_out.x), sample_weight=held_out.weights)

    def _shaped(self, found: np.ndarray, spread: bool = False) -> np.ndarray:
        return found[..., 0] if self.n_outputs_ == 1 else found
