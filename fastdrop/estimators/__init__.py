"""scikit-learn's face: estimators that take the place of its own by a change of the import."""

try:
    import sklearn  # noqa: F401
except ImportError:
    raise ImportError(
        'fastdrop.estimators: scikit-learn is not installed: `pip install "fastdrop[app]"`'
    ) from None

from fastdrop.estimators.classifier import MLPClassifier
from fastdrop.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
