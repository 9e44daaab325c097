"""Accelerators, what share of their peak a job reaches, and what a FLOP on them costs.

Dense peaks only. Data sheets of recent accelerators print the peak with 2:4 structured sparsity,
which is twice the dense one and which no training run and hardly any served model uses: 1979e12 for
an H100 in bf16 is that number, and dollars counted with it are half of the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from scalefit.errors import AllocationError

__all__ = ["HARDWARE", "Hardware", "Utilisation", "find_hardware", "usd_per_flop"]

# Dense peaks, FLOP/s (or integer operations), of devices whose sparse peaks are in circulation.
DENSE = {
    ("A100", "bf16"): 312e12,
    ("A100", "int8"): 624e12,
    ("H100", "bf16"): 989.4e12,
    ("H100", "fp8"): 1978.9e12,
    ("H200", "bf16"): 989.4e12,
    ("H200", "fp8"): 1978.9e12,
}

SECONDS = 3600.0


@dataclass(frozen=True)
class Hardware:
    """An accelerator at one number format.

    Attributes:
        name: the device.
        dtype: number format of the matrix products.
        peak_flops: dense peak, FLOP/s.
        bandwidth: of the device's memory, bytes/s.
        usd_per_hour: price of one device for an hour.
        source: where the numbers come from.

    Raises:
        AllocationError: a number is not positive, or the peak is one with structured sparsity.

    Example:
        >>> from scalefit.allocation import HARDWARE
        >>> h100 = HARDWARE["H100 SXM bf16"]
        >>> f"{h100.ridge:.0f} FLOP per byte, ${h100.usd(3.8e25, utilisation=0.5) / 1e6:.1f}M"
        '295 FLOP per byte, $42.7M'
    """

    name: str
    dtype: str
    peak_flops: float
    bandwidth: float
    usd_per_hour: float
    source: str = "given by the user"

    def __post_init__(self) -> None:
        for what in ("peak_flops", "bandwidth", "usd_per_hour"):
            value = getattr(self, what)
            if not (math.isfinite(value) and value > 0):
                raise AllocationError(f"{self.name!r}: {what} must be positive, not {value!r}")
        for (device, dtype), dense in DENSE.items():
            # Data sheets round to three or four digits.
            doubled = abs(self.peak_flops / (2.0 * dense) - 1.0) < 0.01
            if device in self.name.upper() and dtype == self.dtype.lower() and doubled:
                raise AllocationError(
                    f"{self.peak_flops:.4g} FLOP/s is the peak of {self.name} in {dtype} with 2:4 "
                    f"structured sparsity; its dense peak is {dense:.4g}. Dollars counted with the "
                    "sparse peak are half of the true ones"
                )

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}"

    @property
    def ridge(self) -> float:
        """FLOPs per byte of memory traffic above which the device computes rather than waits."""
        return self.peak_flops / self.bandwidth

    def at_price(self, usd_per_hour: float) -> Hardware:
        """The same device at another price."""
        return replace(self, usd_per_hour=usd_per_hour)

    def hours(self, flops: Any, utilisation: float = 0.5) -> Any:
        """Device-hours of so many FLOPs at a share of the dense peak."""
        return flops / (self.peak_flops * _share(utilisation) * SECONDS)

    def usd(self, flops: Any, utilisation: float = 0.5) -> Any:
        """Dollars of so many FLOPs at a share of the dense peak."""
        return self.hours(flops, utilisation) * self.usd_per_hour


@dataclass(frozen=True)
class Utilisation:
    """Shares of the dense peak that the phases of a model's life reach.

    Attributes:
        train: training, 0.3 to 0.55 in large runs.
        prefill: reading a prompt, all tokens at once.
        decode: writing one token after another, bound by memory: a hundredth at small batches.

    Raises:
        AllocationError: a share is not in (0, 1].

    Source:
        Defaults of the code of Sardana et al. 2024, arXiv 2401.00448.
    """

    train: float = 0.5
    prefill: float = 0.5
    decode: float = 0.01

    def __post_init__(self) -> None:
        for share in (self.train, self.prefill, self.decode):
            _share(share)


def usd_per_flop(hardware: Hardware | str, utilisation: float = 0.5) -> float:
    """Dollars of one FLOP: price of a second over the FLOPs done in it.

    Args:
        hardware: an accelerator, or a name in ``HARDWARE``.
        utilisation: share of its dense peak that the job reaches.

    Raises:
        AllocationError: the accelerator is unknown, or the share not in (0, 1].

    Example:
        >>> from scalefit.allocation import usd_per_flop
        >>> f"{usd_per_flop('H100 SXM bf16', 0.5):.4e}"
        '1.1230e-18'
    """
    return float(find_hardware(hardware).usd(1.0, utilisation))


def find_hardware(hardware: Hardware | str) -> Hardware:
    """The accelerator itself, or the one of that name.

    Raises:
        AllocationError: no accelerator has that name.
    """
    if isinstance(hardware, Hardware):
        return hardware
    if hardware not in HARDWARE:
        raise AllocationError(
            f"no accelerator is called {hardware!r}. Known: {', '.join(HARDWARE)}. Describe "
            "another one: Hardware(name, dtype, peak_flops, bandwidth, usd_per_hour)"
        )
    return HARDWARE[hardware]


def _share(utilisation: float) -> float:
    if not 0 < utilisation <= 1:
        raise AllocationError(
            f"a utilisation is a share of the dense peak, above 0 and up to 1, not {utilisation!r}"
        )
    return utilisation


A100 = "NVIDIA A100 data sheet (dense column)"
H100 = "NVIDIA H100 data sheet halved (it prints sparse peaks): 132 SM x 4096 FLOP x 1.83 GHz"
PRICE = "; price: code of Sardana et al. 2024, arXiv 2401.00448"

# Prices are of 2023 and for orders of magnitude: replace them with ``at_price``.
HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        str(device): device
        for device in (
            Hardware("A100-40GB", "bf16", 312e12, 1.555e12, 1.10, A100 + PRICE),
            Hardware("A100-40GB", "int8", 624e12, 1.555e12, 1.10, A100 + PRICE),
            Hardware("A100-80GB", "bf16", 312e12, 2.039e12, 1.50, A100 + PRICE),
            Hardware("A100-80GB", "int8", 624e12, 2.039e12, 1.50, A100 + PRICE),
            Hardware("H100 SXM", "bf16", 989.4e12, 3.35e12, 2.00, H100 + PRICE),
            Hardware("H100 SXM", "fp8", 1978.9e12, 3.35e12, 2.00, H100 + PRICE),
        )
    }
)
