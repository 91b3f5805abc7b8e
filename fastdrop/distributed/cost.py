"""What a training step costs on many processes, and where more of them stop to help.

The model, on paper. A step on ``p`` ranks, of a batch of ``B`` rows in all, takes ::

    step(p, B) = fixed + row * ceil(B / p) + exchange(p)
    exchange(p) = 2 * ceil(log2(p)) * alpha + 2 * (p - 1) / p * nbytes * beta

- ``row``, seconds a row, is operations over speed. Each weight of a dense layer,
  and of a convolution at each of its places, is multiplied and added three times:
  forward, for the gradient by the input and for that by the weights. So a row takes
  ``6 * weights * places`` operations.
- ``fixed``, seconds a step whatever its rows are, is bytes over bandwidth: gradients
  are zeroed, packed and unpacked, and the optimiser reads and writes parameters,
  gradients and its memory; and what Python takes.
- ``exchange`` is the sum of the gradients over all ranks, ``nbytes`` on each. The
  algorithm of MPICH and others for long messages halves and scatters what is
  summed, and gathers it again: each rank sends ``log2(p)`` messages twice, and
  ``(p - 1) / p`` of its bytes twice [1]_. ``alpha`` is the time of a message that
  has no length, ``beta`` that of a byte, with its addition. Nothing of it overlaps
  with the backward pass.

``alpha`` and ``beta`` of the processes at hand are what `fastdrop.distributed.bench`
measures, and ``row`` and ``fixed``, with all ranks at work at once, since they share
the memory. What the model leaves out: that ranks wait for the slowest one, networks
that are shared with others, and files.

With `B` held, a step becomes shorter until what no rank is spared is the rest of it:
never more than ``(fixed + row * B) / (fixed + exchange)`` times as fast. With the rows
of each rank held at `b`, ranks keep the share ``e`` of their speed as long as ::

    b >= (e / (1 - e) * exchange(p) - fixed) / row

and `exchange` has a bound for any number of ranks but for its latency: twice the
time of the bytes. So there is a batch that keeps any number of ranks efficient; that
it still learns as well is another question [2]_.

References
----------
.. [1] Thakur, Rabenseifner, Gropp, "Optimization of collective communication
   operations in MPICH", Int. J. High Perform. Comput. Appl. 19(1), 2005, section 4.5.
.. [2] Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
   arXiv:1706.02677, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2, prod
from typing import Any

from fastdrop.nn.conv import Conv2D
from fastdrop.nn.dense import Dense
from fastdrop.nn.sequential import Sequential


@dataclass(frozen=True)
class Link:
    """What messages between ranks cost.

    Attributes
    ----------
    alpha : float
        Seconds of a message, whatever its length.
    beta : float
        Seconds of a byte of what is summed.
    """

    alpha: float
    beta: float

    def exchange(self, ranks: int, nbytes: int) -> float:
        """Seconds of the sum of `nbytes` over so many ranks.

        Examples
        --------
        >>> from fastdrop.distributed.cost import Link
        >>> Link(1.0, 0.25).exchange(4, 8)  # four messages, and 3 / 4 of 8 bytes twice
        7.0
        """
        if ranks == 1:
            return 0.0
        return 2 * ceil(log2(ranks)) * self.alpha + 2 * (ranks - 1) / ranks * nbytes * self.beta


@dataclass(frozen=True)
class Work:
    """What a network asks of each rank.

    Attributes
    ----------
    fixed : float
        Seconds of a step beside those of its rows.
    row : float
        Seconds of a row.
    nbytes : int
        Of gradients, which are summed over the ranks.
    operations : int
        Multiplications and additions of a row, forward and backward.
    """

    fixed: float
    row: float
    nbytes: int
    operations: int

    def step(self, ranks: int, batch: int, link: Link) -> float:
        """Seconds of a step, of `batch` rows on all ranks together."""
        return self.fixed + self.row * ceil(batch / ranks) + link.exchange(ranks, self.nbytes)

    def speedup(self, ranks: int, batch: int, link: Link) -> float:
        """How many times as fast as one rank so many are, of the same batch.

        Examples
        --------
        >>> from fastdrop.distributed.cost import Link, Work
        >>> work = Work(fixed=0.0, row=1.0, nbytes=8, operations=0)
        >>> work.speedup(4, 28, Link(0.0, 0.0)), work.speedup(4, 28, Link(1.0, 0.25))
        (4.0, 2.0)
        """
        return self.step(1, batch, link) / self.step(ranks, batch, link)

    def stops(self, batch: int, link: Link, gain: float = 1.25) -> int:
        """The power of two of ranks from which on twice as many are less than `gain`, above
        1, times as fast, with `batch` rows on all together: where it stops scaling.

        Examples
        --------
        >>> from fastdrop.distributed.cost import Link, Work
        >>> work = Work(fixed=0.0, row=1.0, nbytes=8, operations=0)
        >>> work.stops(64, Link(1.0, 0.25)), work.stops(1024, Link(1.0, 0.25))
        (8, 64)
        """
        ranks = 1
        while self.step(ranks, batch, link) >= gain * self.step(2 * ranks, batch, link):
            ranks *= 2
        return ranks

    def rows_for(self, share: float, ranks: int, link: Link) -> int:
        """The least rows a rank with which it keeps `share`, in (0, 1), of its speed alone.

        Examples
        --------
        >>> from fastdrop.distributed.cost import Link, Work
        >>> work = Work(fixed=1.0, row=1.0, nbytes=8, operations=0)
        >>> work.rows_for(0.5, 4, Link(1.0, 0.25))  # (1 + 6) / (1 + 6 + 7) is a half
        6
        """
        exchange = link.exchange(ranks, self.nbytes)
        return max(1, ceil((share / (1 - share) * exchange - self.fixed) / self.row))


# Messages between nodes, as they are usual: TCP over Ethernet, and a fabric that
# reads and writes the other's memory itself. Assumed, not measured.
WIRES = {"10 Gb": Link(30e-6, 8 / 10e9), "100 Gb": Link(5e-6, 8 / 100e9)}
NODES = (16, 64, 256, 1024)


@dataclass(frozen=True)
class Outlook:
    """What the model says of so many nodes.

    Attributes
    ----------
    wire : str
        Of `WIRES`.
    nodes : int
    speedup : float
        Times as fast as one node, with `batch` rows on all together.
    batch : int
    stops : int
        From how many nodes on twice as many are less than 1.25 times as fast.
    rows : int
        The least on each node with which it keeps 0.8 of its speed alone.
    """

    wire: str
    nodes: int
    speedup: float
    batch: int
    stops: int
    rows: int


def outlook(work: Work, link: Link, batch: int) -> list[Outlook]:
    """What the model says of nodes like the one measured, on usual networks.

    Parameters
    ----------
    work : Work
        Of a node.
    link : Link
        Within a node: what a byte takes there, to be copied and added, it takes on
        the nodes of a network as well.
    batch : int
        Rows on all nodes together.
    """
    found = []
    for name, wire in WIRES.items():
        both = Link(wire.alpha, wire.beta + link.beta)
        stops = work.stops(batch, both)
        for nodes in NODES:
            speedup, rows = work.speedup(nodes, batch, both), work.rows_for(0.8, nodes, both)
            found.append(Outlook(name, nodes, speedup, batch, stops, rows))
    return found


def operations(model: Sequential) -> int:
    """Multiplications and additions of a row's way through dense layers and
    convolutions, forward and backward.

    Examples
    --------
    >>> from fastdrop import nn
    >>> from fastdrop.distributed.cost import operations
    >>> operations(nn.Sequential([nn.Dense(10), nn.ReLU(), nn.Dense(3)], input_shape=(5,)))
    480
    """
    shape: Any = None, *(model._sample or ())
    total = 0
    for layer in model.layers:
        shape = layer.build(shape, model.dtype, model._sources)
        if isinstance(layer, (Dense, Conv2D)):
            total += 6 * layer.params["weight"].size * prod(shape[1:-1])
    return total
