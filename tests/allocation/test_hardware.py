"""Peaks, prices, utilisation, and the sparse trap."""

import re

import pytest

import scalefit as sf
from scalefit.allocation import HARDWARE, Hardware, usd_per_flop
from scalefit.allocation.hardware import DENSE

# What was published with the sparse peak of the H100 in the divisor.
SPARSE = Hardware("as printed", "bf16", 1979e12, 3.35e12, 2.00)


@pytest.mark.parametrize(
    ("device", "usd"), [("H100 SXM bf16", 1.1230e-18), ("A100-80GB bf16", 2.671e-18)]
)
def test_dollars_of_a_flop_at_half_the_dense_peak(device, usd):
    assert usd_per_flop(device, 0.5) == pytest.approx(usd, rel=2e-4)


def test_the_sparse_peak_halves_every_dollar():
    """3.8e25 FLOP: 21.34 million dollars with the sparse peak, 42.67 with the dense one."""
    h100 = HARDWARE["H100 SXM bf16"]
    assert SPARSE.usd(3.8e25) / 1e6 == pytest.approx(21.34, abs=0.005)
    assert h100.usd(3.8e25) / 1e6 == pytest.approx(42.67, abs=0.01)
    assert usd_per_flop(SPARSE) == pytest.approx(5.6145e-19, rel=2e-5)


@pytest.mark.parametrize(("device", "dtype"), DENSE)
def test_known_sparse_peaks_are_refused_for_the_device_they_belong_to(device, dtype):
    dense = DENSE[device, dtype]
    with pytest.raises(
        sf.errors.ArgumentError, match=re.escape(f"dense peak is peak_flops={dense:.5g}")
    ):
        Hardware(f"{device} SXM", dtype, 2 * dense, 3e12, 2.0)
    assert Hardware(f"{device} SXM", dtype, dense, 3e12, 2.0).peak_flops == dense


def test_the_printed_sparse_peak_of_an_h100_is_refused():
    with pytest.raises(sf.errors.ArgumentError, match=r"=1\.979e\+15 is the peak of H100"):
        Hardware("H100", "bf16", 1979e12, 3.35e12, 2.0)


def test_hours_and_dollars():
    device = Hardware("mine", "bf16", 1e15, 2e12, 3.0)
    assert device.ridge == 500.0
    assert device.hours(3.6e18, utilisation=0.5) == 2.0
    assert device.usd(3.6e18, utilisation=0.5) == 6.0
    assert device.at_price(1.0).usd(3.6e18, utilisation=0.5) == 2.0


def test_built_in_devices_are_dense_and_sourced():
    for name, device in HARDWARE.items():
        assert str(device) == name and device.source
        assert device.peak_flops == DENSE[device.name[:4], device.dtype]
    assert HARDWARE["H100 SXM bf16"].ridge == pytest.approx(295.3, abs=0.05)
