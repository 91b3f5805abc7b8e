"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastdrop.estimators.base import MLP, predicted
from fastdrop.estimators.solvers import Samples
from fastdrop.estimators.terms import SummedCrossEntropy
from fastdrop.nn import Loss, Sequential, SoftmaxCrossEntropy
from fastdrop.nn.arguments import check_number


class MLPClassifier(ClassifierMixin, MLP):
    """scikit-learn's multi-layer perceptron classifier, with dropout, and quicker.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, \
learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, \
n_iter_no_change, max_fun
        As of `sklearn.neural_network.MLPClassifier`, with its defaults. `momentum` is
        below 1. The solver ``"lbfgs"`` goes without dropout.
    dropout : float or sequence of float, default 0.0
        Rate of the noise behind each hidden layer, the probability of dropping, in
        [0, 1]; or one for each.
    input_dropout : float, default 0.0
        Rate of the noise on the input, likewise.
    kind : {"dropout", "gaussian", "alpha", "adaptive"}
        Of noise: `fastdrop.nn.Dropout`, `GaussianDropout`, `AlphaDropout`,
        `AdaptiveDropout`.
    max_norm : float, optional
        Largest Euclidean norm of a hidden unit's incoming weights.
    class_weight : dict, "balanced" or None, default None
        Factors of the sample weights, by class; classes that are not named have 1.
        "balanced" is ``total / (n_classes * sum of the class)``, of sample weights.
        Not for several labels a sample.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    coefs_, intercepts_ : list of ndarray
        Weights (in, units) and biases (units,) of each layer. The arrays are those
        of the network: what is written into them, it predicts with.
    loss_, best_loss_ : float
        The last epoch's mean training loss, noise included, and the least;
        `best_loss_` is None with early stopping.
    loss_curve_ : list of float
        One an epoch; of all fits, with `warm_start`.
    validation_scores_, best_validation_score_ : list of float, float
        Accuracy on what early stopping holds out, else None. The weights are
        those of the best one.
    n_iter_, t_ : int
        Epochs of the last fit; samples seen in all.
    n_features_in_, n_layers_, n_outputs_ : int
        n_layers_ counts the input.
    feature_names_in_ : ndarray of str
        Where X had such names.
    out_activation_ : {"softmax", "logistic"}
        "logistic" for two classes and for several labels a sample.

    See Also
    --------
    MLPRegressor

    Notes
    -----
    Without noise, weights, batches and steps are scikit-learn's: the same
    `random_state` trains the same network, up to rounding. Samples of weight 0 are
    left out first, so that they take no place in a batch. The same `random_state`
    with another `dropout` begins with the same weights and sees the same batches.

    What is trained again goes on as scikit-learn's: with `warm_start` from the
    weights alone, in `partial_fit` with the optimiser and the noise, too, so that
    parameters that changed meanwhile, `alpha` excepted, are not looked at.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way
    to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> from fastdrop import MLPClassifier
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier(dropout=0.5, input_dropout=0.1, early_stopping=True, random_state=0)
    >>> clf.fit(X[:1000] / 16, y[:1000]).score(X[1000:] / 16, y[1000:]) > 0.9
    True
    >>> found = clf.predict_mc(X[:5] / 16, samples=20, random_state=0)
    >>> found.mean.shape, found.entropy.shape
    ((5, 10), (5,))
    """

    _numbers = False

    def __init__(
        self,
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
        class_weight=None,
    ):
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})

    @available_if(MLP._by_epochs)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch, from where the last call or fit ended.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`. `y` need not hold all classes.
        classes : array-like of shape (n_classes,), optional
            All of them; the first call needs it. Of an indicator matrix the columns
            are the classes, whatever this says.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As `fit`; if `classes` are missing or others than before; with early
            stopping.
        """
        where = f"{type(self).__name__}.partial_fit"
        several = type_of_target(y).startswith("multilabel")
        if hasattr(self, "classes_"):
            known = several or classes is None
            if not known and not np.array_equal(self.classes_, unique_labels(classes)):
                raise ValueError(f"{where}: classes must be those of the first call, got {classes}")
        elif classes is None and not several:
            raise ValueError(f"{where}: classes must be passed on the first call to partial_fit.")
        else:
            self._learn_labels(y if several else classes)
        return self._fit(X, y, sample_weight, partial=True)

    def predict(self, X: Any) -> Any:
        """The most probable class of each row, or all labels of probability above 0.5.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Without noise; `predict_mc` samples.
        """
        outputs = self._predicted(X)
        return self._labels.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes_`, without noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._shaped(self._predicted(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of `predict_proba`."""
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _learn_labels(self, y: Any) -> None:
        self._labels = LabelBinarizer().fit(y)
        self.classes_ = self._labels.classes_

    def _targets(self, y: Any, fresh: bool, partial: bool, where: str) -> tuple[np.ndarray, Loss]:
        """Numbers of classes, or for two classes and several labels zeros and ones."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if fresh and not partial:
            self._learn_labels(y)
        else:
            found = unique_labels(y)
            if len(np.setdiff1d(found, self.classes_)) or (
                not partial and len(found) < len(self.classes_)
            ):
                raise ValueError(
                    f"{where}: y must have the classes of the last fit, {self.classes_}, "
                    f"got {found}"
                )
        targets = self._labels.transform(y)
        if self._labels.y_type_ == "multiclass":
            self.out_activation_ = "softmax"
            return targets.argmax(axis=1), SoftmaxCrossEntropy()
        self.out_activation_ = "logistic"
        return targets, SummedCrossEntropy()

    def _weigh(
        self, targets: np.ndarray, weights: np.ndarray | None, where: str
    ) -> np.ndarray | None:
        """Weights of samples times those of their classes."""
        if self.class_weight is None:
            return weights
        if self._labels.y_type_.startswith("multilabel"):
            raise ValueError(
                f"{where}: class_weight needs one label a sample, got an indicator matrix; "
                "sample_weight goes with it"
            )
        labels, count = targets.reshape(-1), len(self.classes_)
        if isinstance(self.class_weight, Mapping):
            each = np.ones(count)
            for label, weight in self.class_weight.items():
                if label not in self.classes_:
                    raise ValueError(
                        f"{where}: class_weight must name classes of {self.classes_}, got {label!r}"
                    )
                name = f"class_weight[{label!r}]"
                each[self.classes_ == label] = check_number(weight, name, where)
        elif isinstance(self.class_weight, str) and self.class_weight == "balanced":
            sums = np.bincount(labels, weights, minlength=count)
            # A class that is not there weighs nothing, whatever its factor.
            each = sums.sum() / (count * np.where(sums > 0, sums, 1))
        else:
            raise ValueError(
                f"{where}: class_weight must be a dict, 'balanced' or None, "
                f"got {self.class_weight!r}"
            )
        return each[labels] if weights is None else each[labels] * weights

    def _stratifies(self) -> bool:
        return self.n_outputs_ == 1

    def _held_out_score(self, model: Sequential, held_out: Samples) -> float:
        outputs = predicted(model, held_out.x)
        found = outputs.argmax(axis=1) if held_out.y.ndim == 1 else (outputs > 0.5).astype(int)
        return accuracy_score(held_out.y, found, sample_weight=held_out.weights)

    def _shaped(self, found: np.ndarray, spread: bool = False) -> np.ndarray:
        """Probabilities, or how far they spread, of both classes where one output says both."""
        if self.n_outputs_ > 1:
            return found
        return np.concatenate([found if spread else 1 - found, found], axis=-1)
