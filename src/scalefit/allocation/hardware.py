"""Accelerators, what share of their peak a job reaches, and what a FLOP on them costs.

Dense peaks only. Data sheets of recent accelerators print the peak with 2:4 structured sparsity,
which is twice the dense one and which no training run and hardly any served model uses: 1979e12 for
an H100 in bf16 is that number, and dollars counted with it are half of the true ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from scalefit.arguments import choice, number, numbers, shown, text
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description
from scalefit.reporting.numbers import percent
from scalefit.reporting.numbers import shown as in_digits

__all__ = ["HARDWARE", "Hardware", "Utilisation", "find_hardware", "share_of_peak", "usd_per_flop"]

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

PRICE_EXAMPLE = ("usd_per_hour", "2.0")


@dataclass(frozen=True)
class Hardware(Described):
    """An accelerator at one number format.

    Attributes:
        name: the device.
        dtype: number format of the matrix products.
        peak_flops: dense peak, FLOP/s.
        bandwidth: of the device's memory, bytes/s.
        usd_per_hour: price of one device for an hour.
        source: where the numbers come from.

    Raises:
        ArgumentError: a number is not positive, or the peak is one with structured sparsity.

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
        for what, example in (("name", "H100 SXM"), ("dtype", "bf16")):
            text(getattr(self, what), what, remedy=f"Pass {what}={example!r}")
        for what, example in (("peak_flops", "989.4e12"), ("bandwidth", "3.35e12"), PRICE_EXAMPLE):
            number(getattr(self, what), what, above=0, remedy=f"Pass {what}={example}")
        for (device, dtype), dense in DENSE.items():
            # Data sheets round to three or four digits.
            doubled = abs(self.peak_flops / (2.0 * dense) - 1.0) < 0.01
            if device in self.name.upper() and dtype == self.dtype.lower() and doubled:
                raise ArgumentError(
                    f"peak_flops={self.peak_flops:.4g} is the peak of {self.name} in {dtype} with "
                    "2:4 structured sparsity: dollars counted with it are half of the true ones",
                    argument="peak_flops",
                    value=self.peak_flops,
                    remedy=f"Its dense peak is peak_flops={dense:.5g}",
                )

    def __str__(self) -> str:
        # Its name in the catalogue, HARDWARE, and in messages.
        return f"{self.name} {self.dtype}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: the numbers are as given."""
        return ()

    def describe(self, level: float = 0.95) -> Description:
        """Its numbers with their units, and what they come to."""
        cost = in_digits(self.usd(1e21), "usd").value
        return Description(
            title=f"Accelerator {self}",
            headline=f"1e21 FLOP at half of its dense peak take {self.hours(1e21):,.0f} hours of "
            f"one device: {cost}.",
            facts={
                "dense peak": f"{self.peak_flops:.5g} FLOP/s",
                "memory": f"{self.bandwidth:.4g} bytes/s, {self.ridge:.3g} FLOP per byte at peak",
                "price": f"{in_digits(self.usd_per_hour, 'usd').value} an hour",
                "source": self.source,
            },
        )

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row with a column for each attribute."""
        return pd.DataFrame([asdict(self)])

    @property
    def ridge(self) -> float:
        """FLOPs per byte of memory traffic above which the device computes rather than waits."""
        return self.peak_flops / self.bandwidth

    def at_price(self, usd_per_hour: float) -> Hardware:
        """The same device at another price.

        Raises:
            ArgumentError: it is no positive number.
        """
        return replace(self, usd_per_hour=usd_per_hour)

    def hours(self, flops: Any, utilisation: float = 0.5) -> Any:
        """Device-hours of so many FLOPs at a share of the dense peak.

        Raises:
            ArgumentError: the FLOPs are no numbers, or the share is not in (0, 1].
        """
        flops = numbers(flops, "flops", missing=True, infinite=True, remedy="Pass flops=1e24")[()]
        return flops / (self.peak_flops * share_of_peak(utilisation) * SECONDS)

    def usd(self, flops: Any, utilisation: float = 0.5) -> Any:
        """Dollars of so many FLOPs at a share of the dense peak.

        Raises:
            ArgumentError: the FLOPs are no numbers, or the share is not in (0, 1].
        """
        return self.hours(flops, utilisation) * self.usd_per_hour


@dataclass(frozen=True)
class Utilisation(Described):
    """Shares of the dense peak that the phases of a model's life reach.

    Attributes:
        train: training, 0.3 to 0.55 in large runs.
        prefill: reading a prompt, all tokens at once.
        decode: writing one token after another, bound by memory: a hundredth at small batches.

    Raises:
        ArgumentError: a share is not in (0, 1].

    Source:
        Defaults of the code of Sardana et al. 2024, arXiv 2401.00448.
    """

    train: float = 0.5
    prefill: float = 0.5
    decode: float = 0.01

    def __post_init__(self) -> None:
        for phase in ("train", "prefill", "decode"):
            share_of_peak(getattr(self, phase), phase)

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: the shares are as given."""
        return ()

    def describe(self, level: float = 0.95) -> Description:
        """The shares of the phases."""
        return Description(
            title="Shares of the dense peak",
            facts={phase: percent(share) for phase, share in asdict(self).items()},
        )

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """One row with a column for each phase."""
        return pd.DataFrame([asdict(self)])


def usd_per_flop(hardware: Hardware | str, utilisation: float = 0.5) -> float:
    """Dollars of one FLOP: price of a second over the FLOPs done in it.

    Args:
        hardware: an accelerator, or a name in ``HARDWARE``.
        utilisation: share of its dense peak that the job reaches.

    Raises:
        ArgumentError: the accelerator is unknown, or the share not in (0, 1].

    Example:
        >>> from scalefit.allocation import usd_per_flop
        >>> f"{usd_per_flop('H100 SXM bf16', 0.5):.4e}"
        '1.1230e-18'
    """
    return float(find_hardware(hardware).usd(1.0, utilisation))


def find_hardware(hardware: Hardware | str, argument: str = "hardware") -> Hardware:
    """The accelerator itself, or the one of that name.

    Raises:
        ArgumentError: no accelerator has that name.
    """
    if isinstance(hardware, Hardware):
        return hardware
    if isinstance(hardware, str):
        return HARDWARE[choice(hardware, argument, tuple(HARDWARE))]
    raise ArgumentError(
        f"{argument}={shown(hardware)} is neither an accelerator nor the name of one",
        argument=argument,
        value=hardware,
        remedy=f"Pass {argument}='H100 SXM bf16', or describe another: Hardware(name, dtype, "
        "peak_flops, bandwidth, usd_per_hour)",
    )


def share_of_peak(utilisation: float, argument: str = "utilisation") -> float:
    """A share of the dense peak.

    Raises:
        ArgumentError: it is not in (0, 1].
    """
    remedy = f"Pass a share of the dense peak, as {argument}=0.5"
    return number(utilisation, argument, above=0, most=1, remedy=remedy)


A100 = "NVIDIA A100 data sheet (dense column)"
H100 = "NVIDIA H100 data sheet halved (it prints sparse peaks): 132 SM x 4096 FLOP x 1.83 GHz"
PRICE = "; price: code of Sardana et al. 2024, arXiv 2401.00448"

# Prices are of 2023 and for orders of magnitude: replace them with ``at_price``.
HARDWARE: Mapping[str, Hardware] = Frozen(
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
