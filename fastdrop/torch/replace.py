"""Dropout and linear modules of a finished model swapped for fastdrop's, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import nn

from fastdrop.torch import modules
from fastdrop.torch.linear import Linear

Model = TypeVar("Model", bound=nn.Module)

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Dropout: modules.Dropout,
    nn.Dropout1d: modules.Dropout1d,
    nn.Dropout2d: modules.Dropout2d,
    nn.Dropout3d: modules.Dropout3d,
    nn.AlphaDropout: modules.AlphaDropout,
    nn.FeatureAlphaDropout: modules.FeatureAlphaDropout,
}
_LINEAR: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Linear}
_THEIRS = {ours: theirs for theirs, ours in (_OURS | _LINEAR).items()}


def replace_dropout(model: Model, *, linear: bool = True) -> Model:
    """Give all of PyTorch's dropout modules in a model fastdrop's masks, in place.

    Its linear modules become `Linear`, which leaves out zeros that dropout makes.

    Parameters
    ----------
    model : torch.nn.Module
        Finished or not, trained or not. Its modules stay the same objects, of
        another class: hooks, ``training`` and places that share a module are
        kept, and the keys of its ``state_dict`` do not change.
    linear : bool, default True
        False leaves ``torch.nn.Linear`` as it is, for what looks for that very
        class or into it, such as PyTorch's quantization, ``torch.fx`` and
        ``torch.jit.script``, or wants every bit of it.

    Returns
    -------
    torch.nn.Module
        `model` itself.

    Raises
    ------
    TypeError
        If `model` is no module.

    Notes
    -----
    Subclasses of PyTorch's modules are left alone, and so is dropout that is no
    module of its own: within ``nn.LSTM``, ``nn.MultiheadAttention`` and
    ``torch.nn.functional.dropout``.

    A `Linear` differs from PyTorch's by rounding, and only in training, where
    most of what it multiplies is 0.

    Examples
    --------
    >>> import fastdrop.torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2))
    >>> fastdrop.torch.replace_dropout(model) is model
    True
    >>> isinstance(model[0], fastdrop.torch.Linear)
    True
    >>> isinstance(model[1], fastdrop.torch.Dropout)
    True
    """
    return _swap(model, _OURS | _LINEAR if linear else _OURS, "replace_dropout")


def restore_dropout(model: Model) -> Model:
    """Make fastdrop's modules in a model PyTorch's own again, in place.

    Parameters
    ----------
    model : torch.nn.Module
        What `replace_dropout` changed, or any other model.

    Returns
    -------
    torch.nn.Module
        `model` itself.

    Raises
    ------
    TypeError
        If `model` is no module.

    Examples
    --------
    >>> import fastdrop.torch
    >>> from torch import nn
    >>> model = fastdrop.torch.replace_dropout(nn.Sequential(nn.Dropout(0.2)))
    >>> fastdrop.torch.restore_dropout(model)
    Sequential(
      (0): Dropout(p=0.2, inplace=False)
    )
    """
    return _swap(model, _THEIRS, "restore_dropout")


def _swap(model: Model, twins: Mapping[type[nn.Module], type[nn.Module]], where: str) -> Model:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{where}: model must be a torch.nn.Module, got {type(model).__name__}")
    for module in model.modules():
        if twin := twins.get(type(module)):
            module.__class__ = twin
    return model
