"""The curve as a figure for print: simulated points with their intervals over the theory's line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ber import theory

_SIZE = (6.4, 4.8)  # inches
_DPI = 200
_THEORY = "#444444"
_SIMULATED = "#0b5cad"
_FORMULA = r"theory, $\frac{1}{2}\,\mathrm{erfc}\,\sqrt{E_\mathrm{b}/N_0}$"
_LIMIT = "no error seen: upper limit at 95 %"
_LOWEST = 1e-15  # theory falls off so steeply that a curve must end somewhere


class Point(Protocol):
    """What is plotted of a point; see `ber.aggregate.CurvePoint`."""

    @property
    def ebn0_db(self) -> float: ...
    @property
    def bits(self) -> int: ...
    @property
    def bit_errors(self) -> int: ...
    @property
    def ber(self) -> float: ...
    @property
    def ci95(self) -> tuple[float, float]: ...


def write(points: Sequence[Point], path: Path) -> None:
    """Write the figure as PNG: the same bytes for the same points, so without date and name of the software."""
    draw(points).savefig(path, metadata={"Software": None})


def draw(points: Sequence[Point]) -> Figure:
    """The figure. Points without an error are drawn as upper limits, by an arrow down from their bound."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_theory(axes, points)
    _draw_measured(axes, [point for point in points if point.bit_errors])
    _draw_limits(axes, [point for point in points if not point.bit_errors])
    _dress(axes, points)
    return figure


def _draw_theory(axes: Axes, points: Sequence[Point]) -> None:
    low, high = _span(points)
    x = np.linspace(low, high, 400)
    y = np.array([theory.bit_error_rate(value) for value in x])
    shown = y > 0.1 * _floor(points)  # the axes cut off the rest
    axes.plot(
        x[shown],
        y[shown],
        color=_THEORY,
        linewidth=1.2,
        zorder=1,
        label=_FORMULA,
    )


def _draw_measured(axes: Axes, points: Sequence[Point]) -> None:
    if not points:
        return
    rates = np.array([point.ber for point in points])
    bounds = np.array([point.ci95 for point in points])
    axes.errorbar(
        [point.ebn0_db for point in points],
        rates,
        yerr=np.abs(bounds.T - rates),
        fmt="o",
        markersize=4.5,
        markerfacecolor="white",
        markeredgewidth=1.2,
        color=_SIMULATED,
        elinewidth=1.2,
        capsize=3.5,
        zorder=3,
        label="simulated, with 95 % confidence interval",
    )


def _draw_limits(axes: Axes, points: Sequence[Point]) -> None:
    if not points:
        return
    bounds = np.array([point.ci95[1] for point in points])
    axes.errorbar(
        [point.ebn0_db for point in points],
        bounds,
        yerr=bounds * 0.6,
        uplims=True,
        fmt="_",
        markersize=9,
        markeredgewidth=1.4,
        color=_SIMULATED,
        elinewidth=1.2,
        capsize=3,
        zorder=3,
    )
    # The legend's own drawing of such a point lacks the arrow.
    axes.plot([], [], linestyle="", marker=r"$\downarrow$", markersize=8, color=_SIMULATED, label=_LIMIT)


def _dress(axes: Axes, points: Sequence[Point]) -> None:
    axes.set_yscale("log")
    axes.set_xlim(*_span(points))
    axes.set_ylim(_floor(points), 1.0)
    axes.set_xlabel(r"$E_\mathrm{b}/N_0$ in dB")
    axes.set_ylabel("bit error rate")
    axes.set_title(f"BPSK over AWGN, {_power(sum(point.bits for point in points))} bits", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=200))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=True)
    axes.grid(which="major", color="#cccccc", linewidth=0.6)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.4)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", framealpha=1.0, edgecolor="#cccccc", fontsize=9)


def _span(points: Sequence[Point]) -> tuple[float, float]:
    values = [point.ebn0_db for point in points]
    margin = max(0.5, 0.05 * (max(values) - min(values)))
    return min(values) - margin, max(values) + margin


def _floor(points: Sequence[Point]) -> float:
    """The lowest decade that is needed for points, bounds and theory."""
    lowest = min(min(point.ci95[0] or 0.4 * point.ci95[1], theory.bit_error_rate(point.ebn0_db)) for point in points)
    return float(10.0 ** np.floor(np.log10(max(lowest, _LOWEST) * 0.4)))


def _power(count: int) -> str:
    mantissa, exponent = f"{count:.2e}".split("e")
    return rf"${mantissa}\times 10^{{{int(exponent)}}}$"
