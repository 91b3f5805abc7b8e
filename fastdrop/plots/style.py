"""What all figures have in common: colours, markers, and where they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, told apart with every kind of colour vision; their yellow is
# not seen on white.
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, SKY = "#cc79a7", "#e69f00", "#56b4e9"
PALETTE = BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000", "#7f7f7f"
MARKERS = "osD^vPX*"

COLOURS = {"without dropout": VERMILION, "with dropout": BLUE}


def colours(arms: Iterable[str]) -> dict[str, str]:
    """A colour for each arm; with and without dropout have their own."""
    arms = list(arms)
    own = {arm: COLOURS[arm] for arm in arms if arm in COLOURS}
    rest = [tint for tint in PALETTE if tint not in own.values()]
    others = [arm for arm in arms if arm not in own]
    return own | {arm: rest[place % len(rest)] for place, arm in enumerate(others)}


def matplotlib_for(where: str) -> Any:
    """The module, without pyplot: figures belong to no window."""
    try:
        import matplotlib.figure
    except ImportError:
        raise ImportError(
            f'{where}: matplotlib is not installed: `pip install "fastdrop[app]"`'
        ) from None
    return matplotlib


def figure_for(where: str, figure: Any, size: tuple[float, float]) -> Any:
    """The caller's figure, or a new one of that size in inches."""
    matplotlib = matplotlib_for(where)
    if figure is None:
        return matplotlib.figure.Figure(figsize=size, layout="constrained")
    if not isinstance(figure, matplotlib.figure.FigureBase):
        raise TypeError(f"{where}: figure must be a Figure or SubFigure, got {figure!r}")
    return figure


def axes_for(where: str, ax: Any, size: tuple[float, float]) -> Axes:
    """The caller's axes, or those of a new figure."""
    if ax is None:
        return figure_for(where, None, size).add_subplot()
    matplotlib_for(where)
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{where}: ax must be a matplotlib Axes, got {ax!r}")
    return ax


def tidy(ax: Axes) -> None:
    """A light grid behind what is drawn, and no box around it."""
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def bare(ax: Axes) -> None:
    """An image's axes: no ticks, no box."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes are on."""
    figure = ax.figure
    assert figure is not None
    return figure  # type: ignore[return-value]
