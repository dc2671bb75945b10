"""The kernel that this machine can run: numba's where it is installed, else numpy's."""

import dataclasses
import logging
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)


class Waveform(Protocol):
    """Makes bits and noise samples, and counts the bits that the noise turned over."""

    def __call__(self, state: NDArray[np.uint32], keys: NDArray[np.uint64], bits: int, deviation: np.float32, /) -> int:
        """Bit errors among `bits` bits of each block; `deviation` is the noise's, for symbols ±1."""


class Decision(Protocol):
    """Draws an error for each bit with a probability given in units of 2⁻⁶⁴, and counts."""

    def __call__(self, state: NDArray[np.uint32], keys: NDArray[np.uint64], bits: int, threshold: np.uint64, /) -> int:
        """Bit errors among `bits` bits of each block."""


@dataclasses.dataclass(frozen=True)
class Kernels:
    """A kernel of each method; `version` goes into results and changes whenever counts do."""

    version: str
    waveform: Waveform
    decision: Decision


def best() -> Kernels:
    """Numba's kernels, compiled; numpy's where numba cannot be imported."""
    try:
        from ber import kernel_numba  # noqa: PLC0415 - it may be missing
    except ImportError as error:
        _log.warning("numba cannot be imported (%s): the numpy kernel is some twenty times slower", error)
        from ber import kernel_numpy  # noqa: PLC0415 - only where it is needed

        return Kernels(kernel_numpy.VERSION, kernel_numpy.waveform, kernel_numpy.decision)
    return Kernels(kernel_numba.VERSION, kernel_numba.waveform, kernel_numba.decision)
