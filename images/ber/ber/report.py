"""The report: one page that needs nothing else: figure, table, parameters, times, cost, failures, versions."""

import base64
import html
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from ber import plot
from winbatch.account import Account
from winbatch.causes import causes

if TYPE_CHECKING:
    from ber.curve import Curve

_PACKAGES = ("numpy", "numba", "matplotlib", "boto3", "arro3-io")
_SHOWN = 200
"""Failed items, and causes, that are listed; results.json has all items."""

_HOUR = 3600.0

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1d21; --soft: #5c646c; --line: #d5d9dd; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e6e8ea; --soft: #a0a8b0; --line: #3a4149; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
p.lead { color: var(--soft); margin-top: .25rem; }
img { display: block; max-width: 100%; width: 44rem; height: auto; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top;
  white-space: pre-line; }
th { color: var(--soft); font-weight: 600; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.n ~ td { white-space: nowrap; }
@media print { body { margin: 0; max-width: none; } }
"""


def write(curve: "Curve", figure: Figure, account: Account | None, path: Path, *, job: str) -> None:
    """Write the page.

    Args:
        curve: what was found.
        figure: of it, as `plot.draw` makes it.
        account: what the simulation took; None where nobody kept account.
        path: of the file.
        job: its id.
    """
    path.write_text(page(curve, figure, account, job=job), encoding="utf-8", newline="\n")


def page(curve: "Curve", figure: Figure, account: Account | None, *, job: str) -> str:
    """The page as HTML, without anything that it would have to fetch."""
    total = curve.items + len(curve.failed)
    lead = f"{len(curve.points)} points from {curve.items:,} of {total:,} items, {curve.bits:,} bits"
    parts = [
        f"<h1>{_text(job)}</h1><p class=lead>{_text(lead)}</p>",
        _figure(figure),
        _section("Points", _points(curve)),
        _section("Items", _pairs({"done": curve.items, "failed for good": len(curve.failed), "missing": 0})),
    ]
    if curve.failed:
        found = causes(curve.failed)
        why = [(cause.named, cause.kind, cause.reason, "\n".join(cause.lines)) for cause in found[:_SHOWN]]
        parts.append(_section("Why items failed", _table(("items", "kind", "reason", "log of one"), why)))
        if len(found) > _SHOWN:
            parts.append(f"<p>and {len(found) - _SHOWN:,} more causes</p>")
        rows = [(str(failure.item), failure.kind, failure.reason) for failure in curve.failed[:_SHOWN]]
        parts.append(_section("Failed items", _table(("item", "kind", "reason"), rows)))
        if len(curve.failed) > _SHOWN:
            parts.append(f"<p>and {len(curve.failed) - _SHOWN:,} more, which results.json names</p>")
    if account is not None:
        parts.append(_section("Parameters", _pairs(account.params)))
        parts.append(_section("Time and cost of the simulation", _pairs(_taken(curve, account))))
    parts.append(
        _section("Kernels", _table(("kernel", "items"), [(name, f"{n:,}") for name, n in curve.kernels.items()]))
    )
    parts.append(_section("Versions of the aggregate", _pairs(_versions())))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{_text(job)}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _figure(figure: Figure) -> str:
    light, dark = map(_data, plot.svgs(figure))
    return (
        f"<picture><source media='(prefers-color-scheme: dark)' srcset='{dark}'>"
        f"<img src='{light}' alt='Bit error rate over Eb/N0: simulated points with intervals, and theory'></picture>"
    )


def _data(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _points(curve: "Curve") -> str:
    rows = [
        (
            f"{point.ebn0_db:g} dB",
            f"{point.bits:,}",
            f"{point.bit_errors:,}",
            f"{point.ber:.4e}",
            f"{point.ci95[0]:.4e} … {point.ci95[1]:.4e}",
            f"{point.theory:.4e}",
            f"{point.modulation}, {point.channel}, {point.method}",
        )
        for point in curve.points
    ]
    return _table(("Eb/N0", "bits", "errors", "BER", "95 % interval", "theory", "how"), rows, numbers=6)


def _taken(curve: "Curve", account: Account) -> dict[str, Any]:
    taken: dict[str, Any] = {"items in shards": f"{account.items:,} in {account.shards:,}"}
    ledger = account.ledger
    if ledger is None:
        return taken
    seconds = (ledger.updated_at - ledger.started_at).total_seconds()
    taken |= {
        "started": f"{ledger.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "ended": f"{ledger.updated_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": f"{seconds:,.0f} s",
        "speed": f"{curve.bits / seconds / 1e6:,.0f} Mbit/s" if seconds else "unknown",
        "instance hours": f"{ledger.instance_seconds / _HOUR:.2f}",
        "cost": "no price is known" if ledger.cost is None else f"{ledger.cost:.2f} US dollars",
        "ECS tasks that ended": ledger.tasks_stopped,
        "shards that failed for good": ledger.shards_failed,
    }
    return taken


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _section(title: str, body: str) -> str:
    return f"<h2>{_text(title)}</h2><div class=wide>{body}</div>"


def _pairs(pairs: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}<td>{_text(_value(value))}" for name, value in pairs.items())
    return f"<table>{rows}</table>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], *, numbers: int = 0) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        marked = (f"<{tag}{' class=n' if n < numbers else ''}>{_text(cell)}" for n, cell in enumerate(cells))
        return f"<tr>{''.join(marked)}"

    return f"<table>{line('th', head)}{''.join(line('td', row) for row in rows)}</table>"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _text(text: str) -> str:
    return html.escape(text)
