"""The curve as a figure for print: simulated points with their intervals over the theory's line."""

import dataclasses
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ber import theory
from ber.modulation import CHANNELS, MODULATIONS

_SIZE = (6.4, 4.8)  # inches
_DPI = 200
_FORMULA = r"theory, $\frac{1}{2}\,\mathrm{erfc}\,\sqrt{E_\mathrm{b}/N_0}$"
_LIMIT = "no error seen: upper limit at 95 %"
_LOWEST = 1e-15  # theory falls off so steeply that a curve must end somewhere


@dataclasses.dataclass(frozen=True)
class Palette:
    """Colours of a figure. Series differ in their marker, too, for who prints in grey or sees colours otherwise."""

    paper: str = "#ffffff"
    ink: str = "#101214"  # of black itself, SVG says nothing
    theory: str = "#444444"
    series: Sequence[str] = ("#0b5cad", "#b34700", "#1b7837", "#762a83")
    grid: str = "#cccccc"
    fine_grid: str = "#eeeeee"

    def colours(self) -> Iterator[str]:
        """All of them, in order."""
        for value in dataclasses.astuple(self):
            yield from (value,) if isinstance(value, str) else value


LIGHT = Palette()
DARK = Palette("#14181d", "#e6e8ea", "#b8bcc0", ("#6cb4ff", "#ff9d5c", "#7fd08f", "#d79bf0"), "#3a4149", "#23282e")

_MARKERS = "osD^"


class Point(Protocol):
    """What is plotted of a point; see `ber.curve.CurvePoint`."""

    @property
    def ebn0_db(self) -> float:
        """Give the energy per bit over noise density, in dB."""

    @property
    def bits(self) -> int:
        """Give how many bits were simulated."""

    @property
    def bit_errors(self) -> int:
        """Give how many of them were wrong."""

    @property
    def ber(self) -> float:
        """Give the bit error rate."""

    @property
    def ci95(self) -> tuple[float, float]:
        """Give the bounds of its 95 % confidence interval."""

    @property
    def method(self) -> str:
        """Name the method, such as `waveform`."""

    @property
    def modulation(self) -> str:
        """Name the modulation, such as `bpsk`."""

    @property
    def channel(self) -> str:
        """Name the channel, such as `awgn`."""


def write(figure: Figure, path: Path) -> None:
    """Write the figure as PNG: the same bytes for the same points, so without date and name of the software."""
    figure.savefig(path, metadata={"Software": None})


def svgs(figure: Figure) -> tuple[str, str]:
    """The figure as SVG for light paper and for dark, letters as shapes, so that it looks the same everywhere."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "winbatch", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    light = text.getvalue()
    # The picture is drawn once, which takes most of the time: only its colours differ.
    dark = dict(zip(LIGHT.colours(), DARK.colours(), strict=True))
    return light, re.sub(r"#[0-9a-f]{6}\b", lambda found: dark.get(found[0], found[0]), light)


def draw(points: Sequence[Point]) -> Figure:
    """The figure, in light. Points without an error are drawn as upper limits, by an arrow down from their bound."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor=LIGHT.paper)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=LIGHT.paper)
    kinds = sorted({(point.modulation, point.channel) for point in points})
    for modulation, channel in kinds:
        _draw_theory(axes, points, modulation, channel)
    series = sorted({_series(point) for point in points})
    for number, name in enumerate(series):
        own = [point for point in points if _series(point) == name]
        look = LIGHT.series[number % len(LIGHT.series)], _MARKERS[number % len(_MARKERS)]
        label = "" if len(series) == 1 else f"{_name(*name[:2])}, {name[2]}: "
        _draw_measured(axes, [point for point in own if point.bit_errors], look, label)
        _draw_limits(axes, [point for point in own if not point.bit_errors], look[0], label)
    _dress(axes, points, " and ".join(_name(*kind) for kind in kinds))
    ConstrainedLayoutEngine().execute(figure)  # once for all forms
    return figure


def _series(point: Point) -> tuple[str, str, str]:
    return point.modulation, point.channel, point.method


def _name(modulation: str, channel: str) -> str:
    return f"{MODULATIONS[modulation].label} over {CHANNELS[channel]}"


def _draw_theory(axes: Axes, points: Sequence[Point], modulation: str, channel: str) -> None:
    low, high = _span(points)
    x = np.linspace(low, high, 400)
    y = np.array([theory.bit_error_rate(value, modulation, channel) for value in x])
    shown = y > 0.1 * _floor(points)  # the axes cut off the rest
    axes.plot(
        x[shown],
        y[shown],
        color=LIGHT.theory,
        linewidth=1.2,
        zorder=1,
        label=_FORMULA if (modulation, channel) == ("bpsk", "awgn") else f"theory, {_name(modulation, channel)}",
    )


def _draw_measured(axes: Axes, points: Sequence[Point], look: tuple[str, str], label: str) -> None:
    if not points:
        return
    rates = np.array([point.ber for point in points])
    bounds = np.array([point.ci95 for point in points])
    axes.errorbar(
        [point.ebn0_db for point in points],
        rates,
        yerr=np.abs(bounds.T - rates),
        fmt=look[1],
        markersize=4.5,
        markerfacecolor=LIGHT.paper,
        markeredgewidth=1.2,
        color=look[0],
        elinewidth=1.2,
        capsize=3.5,
        zorder=3,
        label=f"{label}simulated, with 95 % confidence interval",
    )


def _draw_limits(axes: Axes, points: Sequence[Point], color: str, label: str) -> None:
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
        color=color,
        elinewidth=1.2,
        capsize=3,
        zorder=3,
    )
    # The legend's own drawing of such a point lacks the arrow.
    axes.plot([], [], linestyle="", marker=r"$\downarrow$", markersize=8, color=color, label=label + _LIMIT)


def _dress(axes: Axes, points: Sequence[Point], title: str) -> None:
    axes.set_yscale("log")
    axes.set_xlim(*_span(points))
    axes.set_ylim(_floor(points), 1.0)
    axes.set_xlabel(r"$E_\mathrm{b}/N_0$ in dB", color=LIGHT.ink)
    axes.set_ylabel("bit error rate", color=LIGHT.ink)
    bits = _power(sum(point.bits for point in points))
    axes.set_title(f"{title}, {bits} bits", fontsize=11, color=LIGHT.ink)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(numticks=20))
    axes.yaxis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=200))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=True, colors=LIGHT.ink)
    axes.spines[:].set_color(LIGHT.ink)
    axes.grid(which="major", color=LIGHT.grid, linewidth=0.6)
    axes.grid(which="minor", color=LIGHT.fine_grid, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.legend(
        loc="lower left",
        framealpha=1.0,
        facecolor=LIGHT.paper,
        edgecolor=LIGHT.grid,
        labelcolor=LIGHT.ink,
        fontsize=9,
    )


def _span(points: Sequence[Point]) -> tuple[float, float]:
    values = [point.ebn0_db for point in points]
    margin = max(0.5, 0.05 * (max(values) - min(values)))
    return min(values) - margin, max(values) + margin


def _floor(points: Sequence[Point]) -> float:
    """The lowest decade that is needed for points, bounds and theory."""
    lowest = min(
        min(
            point.ci95[0] or 0.4 * point.ci95[1],
            theory.bit_error_rate(point.ebn0_db, point.modulation, point.channel),
        )
        for point in points
    )
    if all(point.method == "importance" for point in points):
        return float(10.0 ** np.floor(np.log10(max(lowest, 1e-300) * 0.4)))
    return float(10.0 ** np.floor(np.log10(max(lowest, _LOWEST) * 0.4)))


def _power(count: int) -> str:
    mantissa, exponent = f"{count:.2e}".split("e")
    return rf"${mantissa}\times 10^{{{int(exponent)}}}$"
