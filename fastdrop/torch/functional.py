# ruff: noqa: A002 - `input` is PyTorch's name of it, and may be given by name
"""PyTorch's dropout functions with fastdrop's masks, and `rng` besides.

Signatures, rank rules, warnings and errors are those of
``torch.nn.functional``. What is no float tensor in the memory of the CPU (of
another device, type or layout, a subclass, a tensor within ``torch.func``) goes
to PyTorch's own function.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from fastdrop.torch.draws import draw
from fastdrop.torch.noise import FLOATING, Noise, axes_of, coefficients, is_plain
from fastdrop.torch.op import draw_in_graph, noise

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Zero each element with probability `p` and divide the others by ``1 - p``.

    Parameters
    ----------
    input : Tensor
        Of any shape and memory layout, which the result keeps. float32 and
        float64 are computed as they are, float16 and bfloat16 in float32 and
        rounded once.
    p : float, default 0.5
        Probability of dropping, in [0, 1].
    training : bool, default True
        False returns `input` itself.
    inplace : bool, default False
        Write the result into `input` and return that.
    rng : None, torch.Generator, or as in `fastdrop.dropout`
        Where the mask comes from. None is PyTorch's own generator of the CPU,
        so that ``torch.manual_seed`` makes a run reproducible and
        ``torch.utils.checkpoint`` draws the same mask when it computes again.
        It does so with None alone.

    Returns
    -------
    Tensor
        New, or `input` where it is changed in place or there is nothing to do:
        with ``training=False``, with ``p=0`` and without elements.

    Raises
    ------
    ValueError
        If `p` leaves [0, 1], or `rng` is given for a tensor that goes to
        PyTorch's own function.
    TypeError
        If `rng` is of another type.
    RuntimeError
        As PyTorch raises it, if `input` cannot be changed in place.

    Notes
    -----
    The mask is that of ``fastdrop.Mask(input.shape, p, key=key, stream=stream)``
    in any memory layout; what is neither contiguous nor channels last takes the
    time of two copies more. A dropped element is exactly +0.0, NaN and inf
    included. Backward draws the mask again: autograd saves its key and stream,
    and no tensor. In a graph of ``torch.compile``, which stays whole, key and
    stream are drawn by the compiler's generator, so that the masks are others
    than outside it; `rng` breaks the graph.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 15, 2014.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> y = F.dropout(x, 0.5, rng=7)
    >>> y.sum().backward()
    >>> bool((x.grad == y).all())
    True
    """
    return noisy("dropout", False, input, p, training, inplace, rng)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Dropout for SELU networks: keeps a mean of 0 and a variance of 1.

    Parameters
    ----------
    input, p, inplace, rng
        As in `dropout`.
    training : bool, default False
        False returns `input` itself; it is PyTorch's default for this function.

    Returns
    -------
    Tensor
        As `dropout`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `dropout`.

    Notes
    -----
    `fastdrop.AlphaMask` has the formula.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> y = F.alpha_dropout(torch.zeros(1000), 0.2, training=True, rng=0)
    >>> len(y.unique())
    2
    """
    return noisy("alpha_dropout", True, input, p, training, inplace, rng)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L).

    Parameters
    ----------
    input : Tensor
        Of 2 or 3 axes.
    p, training, inplace, rng
        As in `dropout`.

    Returns
    -------
    Tensor
        As `dropout`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `dropout`; RuntimeError for another number of axes.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> F.dropout1d(torch.ones(2, 3, 4), 0.5, rng=0)[..., 0].shape
    torch.Size([2, 3])
    """
    torch.nn.functional.dropout1d(input, p, False)  # raises as it does
    first = input.dim() - 1
    return noisy("dropout1d", False, input, p, training, inplace, rng, first)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Zero whole channels of (N, C, H, W), or of (N, C, L).

    Parameters
    ----------
    input : Tensor
        Of 3 or 4 axes. Others are deprecated: PyTorch warns, and axes 0 and 1
        are the samples and the channels. It warns of 3 axes, too.
    p, training, inplace, rng
        As in `dropout`.

    Returns
    -------
    Tensor
        As `dropout`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `dropout`; RuntimeError for fewer than 2 axes.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> y = F.dropout2d(torch.ones(2, 3, 4, 4), 0.5, rng=0)
    >>> bool((y == y[..., :1, :1]).all())
    True
    """
    torch.nn.functional.dropout2d(input, p, False)  # warns and raises as it does
    return noisy("dropout2d", False, input, p, training, inplace, rng, 2)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W).

    Parameters
    ----------
    input : Tensor
        Of 4 or 5 axes. Others are deprecated: PyTorch warns, and axis 0 is the
        channels.
    p, training, inplace, rng
        As in `dropout`.

    Returns
    -------
    Tensor
        As `dropout`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `dropout`; RuntimeError for a tensor of no axis.

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient object localization
    using convolutional networks", CVPR 2015.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> y = F.dropout3d(torch.ones(2, 3, 4, 4, 4), 0.5, rng=0)
    >>> bool((y == y[..., :1, :1, :1]).all())
    True
    """
    torch.nn.functional.dropout3d(input, p, False)  # warns and raises as it does
    first = 2 if input.dim() == 5 else 1
    return noisy("dropout3d", False, input, p, training, inplace, rng, first)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: Any = None,
) -> Tensor:
    """Alpha dropout of whole channels of (N, C, ...).

    Parameters
    ----------
    input : Tensor
        Of at least 2 axes, of which the first two are the samples and the channels.
    p, training, inplace, rng
        As in `alpha_dropout`.

    Returns
    -------
    Tensor
        As `dropout`.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `dropout`; RuntimeError for fewer than 2 axes.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural
    networks", NeurIPS 2017.

    Examples
    --------
    >>> import torch
    >>> from fastdrop.torch import functional as F
    >>> y = F.feature_alpha_dropout(torch.ones(2, 3, 4), 0.5, training=True, rng=0)
    >>> bool((y == y[..., :1]).all())
    True
    """
    return noisy("feature_alpha_dropout", True, input, p, training, inplace, rng, 2)


def noisy(
    where: str,
    alpha: bool,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    rng: Any,
    first: int | None = None,
) -> Tensor:
    """Noise with one draw for all axes from `first` on, or one for each element."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    compiling = is_compiling()
    # What a compiler shows for a tensor may be of a type of its own.
    ours = (input.is_cpu if compiling else is_plain(input)) and input.dtype in FLOATING
    if not ours or input.is_nested:
        if rng is not None:
            raise ValueError(
                f"{where}: input must be a plain float tensor on the CPU where rng is given, "
                f"got {_described(input)}"
            )
        return getattr(torch.nn.functional, where)(input, p, training, inplace)
    if not training or p == 0 or (not compiling and input.numel() == 0):
        return input
    if first is not None and input.dim() < (1 if where == "dropout3d" else 2):  # which adds one
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    axes = ((), ()) if first is None or first == input.dim() else axes_of(input, first)
    if not compiling:
        # As `Noise(...)` in a third of the time.
        recipe = Noise._make((*coefficients(alpha, float(p)), *axes, *draw(rng, where)))
        return recipe.apply(input, inplace)
    words = draw_in_graph(rng, where)
    y = noise(input, words, alpha, float(p), *axes, True)
    return input.copy_(y) if inplace else y


def _described(input: Any) -> str:
    if not isinstance(input, Tensor):
        return type(input).__name__
    return f"{type(input).__name__} of {input.dtype} on {input.device}, {input.layout}"
