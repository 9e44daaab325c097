"""Numbers that make no sense are refused before a table is read, or anything is fitted."""

from __future__ import annotations

from scalefit.cli.options import Draws, Fitting, Intervals
from scalefit.errors import ScalefitError

__all__ = ["check_budgets", "check_intervals", "check_level", "check_prices"]

# Memory of one replicate at least, bytes: refuses absurd numbers before anything is read.
REPLICATE = 256


def check_budgets(flops: list[float] | None, option: str = "--flops") -> None:
    """Raise where a budget is no positive number.

    Raises:
        ArgumentError: it is none.
    """
    from scalefit.arguments import number

    spelled = "1e24" if option == "FLOPS" else f"{option} 1e24"
    for budget in flops or ():
        number(budget, option, above=0, remedy=f"Pass FLOP, as {spelled}")


def check_level(level: float) -> None:
    """Raise where a level is no share.

    Raises:
        ArgumentError: it is none.
    """
    from scalefit.arguments import number

    number(level, "--level", above=0, below=1, remedy="95 % is --level 0.95")


def check_prices(utilisation: float, serve: float | None = None) -> None:
    """Raise where no dollars or tokens of inference can be counted.

    Raises:
        ArgumentError: the utilisation is no share, or the tokens are negative.
    """
    from scalefit.arguments import number

    remedy = "Half of the dense peak is --utilisation 0.5"
    number(utilisation, "--utilisation", above=0, most=1, remedy=remedy)
    if serve is not None:
        number(serve, "--serve", least=0, remedy="Pass tokens, as --serve 2e12")


def check_intervals(given: Draws, fitting: Fitting | None = None) -> None:
    """Raise where draws cannot be made.

    Raises:
        ArgumentError: a number is out of range.
        ScalefitError: ``--by`` is given without a bootstrap.
    """
    from scalefit.arguments import affordable, whole

    if fitting is not None:
        if fitting.boxes is not None:
            remedy = "Pass how many a proof may take, as --boxes 100000"
            whole(fitting.boxes, "--boxes", least=1, remedy=remedy)
        whole(fitting.seed, "--seed", least=0, remedy="Pass a whole number, as --seed 0")
    if isinstance(given, Intervals) and given.by and not given.bootstrap:
        raise ScalefitError("--by names what a bootstrap draws as one: add --bootstrap 1000")
    if given.bootstrap:
        remedy = "1000 give two digits of an interval: --bootstrap 1000, or 0 for none"
        whole(given.bootstrap, "--bootstrap", least=2, remedy=remedy)
        affordable(given.bootstrap, "--bootstrap", REPLICATE, remedy=remedy)
