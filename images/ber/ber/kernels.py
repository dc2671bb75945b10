"""The kernels that count: numba's, compiled, and numpy's, which count the same and take many times as long."""

import dataclasses
import functools
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

VERSIONS = {"waveform": 1, "decision": 2, "importance": 1}
"""By method; one changes whenever the counts of its method do."""

NAMES = ("numba", "numpy")


class Waveform(Protocol):
    """Makes bits and noise samples, and counts the bits that the noise turned over; one bit a sample, no fading."""

    def __call__(self, state: NDArray[np.uint32], keys: NDArray[np.uint64], bits: int, deviation: np.float32, /) -> int:
        """Bit errors among `bits` bits of each block; `deviation` is the noise's, for symbols ±1."""


class Symbols(Protocol):
    """Makes labels, symbols, noise and fading gains, and counts the bits that are wrong behind the receiver."""

    def __call__(  # noqa: PLR0917 - numba's functions take arguments by place
        self,
        state: NDArray[np.uint32],
        keys: NDArray[np.uint64],
        bits: int,
        axis_i: int,
        axis_q: int,
        deviation: np.float32,
        fading: bool,
        /,
    ) -> tuple[int, int]:
        """Bit errors among `bits` bits of each block, and the sum of the squares of each symbol's number of them.

        `axis_i` and `axis_q` are the bits on each axis, up to 3; `deviation` is the noise's on an axis whose thresholds
        are 1 away from its levels; with `fading`, each symbol has a complex Gaussian gain of mean power 1, which the
        receiver knows.
        """


class Decision(Protocol):
    """Draws an error for each bit with a probability given in units of 2⁻⁶⁴, and counts."""

    def __call__(self, state: NDArray[np.uint32], bits: int, threshold: np.uint64, /) -> int:
        """Bit errors among `bits` bits of each block."""


@dataclasses.dataclass(frozen=True)
class Kernels:
    """A kernel of each kind, and what compiles them."""

    name: str
    waveform: Waveform
    symbols: Symbols
    decision: Decision

    def label(self, method: str) -> str:
        """What a result says of how it was made: method, code, version."""
        return f"{method}/{'numpy' if method == 'importance' else self.name}/{VERSIONS[method]}"


def named(name: str) -> Kernels:
    """Find the kernels of a name of `NAMES`.

    Raises:
        RuntimeError: numba cannot be imported, as in an image that lacks a DLL.
    """
    if name == "numpy":
        return numpy_kernels()
    found = numba_kernels()
    if isinstance(found, str):
        raise RuntimeError(  # noqa: TRY004 - the machine's fault, not the caller's
            f"the fast kernel cannot run here, as numba cannot be imported ({found}): mend the image, or ask for the"
            " slow one, which takes ten to a hundred times as long, with the parameter kernel=numpy"
        )
    return found


@functools.cache
def numba_kernels() -> Kernels | str:
    """Compile numba's kernels; why they cannot be had, where numba cannot be imported."""
    try:
        from ber import kernel_numba  # noqa: PLC0415 - it may be missing
    except (ImportError, OSError) as error:  # a module, or a DLL of it
        return f"{type(error).__name__}: {error}"
    return Kernels(kernel_numba.NAME, kernel_numba.waveform, kernel_numba.symbols, kernel_numba.decision)


def numpy_kernels() -> Kernels:
    """Return numpy's kernels."""
    from ber import kernel_numpy  # noqa: PLC0415 - only where it is needed

    return Kernels(kernel_numpy.NAME, kernel_numpy.waveform, kernel_numpy.symbols, kernel_numpy.decision)
