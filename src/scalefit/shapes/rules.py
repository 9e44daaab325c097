"""Rules of what can be built, and every shape by them near a size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np

from scalefit.arguments import choice, flag, number, refused, whole
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.shapes.fields import COUNTS, GATED_MULTIPLE, MOST
from scalefit.shapes.transformer import Transformer

__all__ = ["SPAN", "Candidates", "Rules"]

# Shapes within this factor of a size are near it.
SPAN = 4.0
# What heads and widths are loosened to, to see whether they exclude what is near.
SMALL_HEAD = 32
# Widths are given up where even the shallowest shape is so many times as large as is asked for.
FARTHEST = 1e6

# Nobody builds more; it ends the search where no aspect ratio does.
MOST_LAYERS = 4096

# Fields that rules say.
RULED = ("width", "layers", "vocab", "heads", "head_size", "kv_heads", "feed_forward", "latent")


class Candidates(NamedTuple):
    """Shapes, each array of shape (shapes,).

    Attributes:
        width: of the residual stream.
        layers: blocks.
        N: parameters.
        flops_per_token: FLOP.
    """

    width: np.ndarray
    layers: np.ndarray
    N: np.ndarray
    flops_per_token: np.ndarray

    def at(self, places: Any) -> Candidates:
        """Those at some places."""
        return Candidates(*(item[places] for item in self))


class Line(NamedTuple):
    """Shapes of one width: N and FLOPs per token are linear in the number of layers.

    Attributes:
        width: of all of them.
        least: the fewest layers by the rules.
        most: the most layers.
        N: N without layers, and what each adds.
        flops: the same of FLOPs per token.
    """

    width: int
    least: int
    most: int
    N: tuple[float, float]
    flops: tuple[float, float]


@dataclass(frozen=True)
class Rules:
    """What a shape must keep to; see :func:`scalefit.shapes.nearest`."""

    head_size: int
    width_multiple: int
    layers_multiple: int
    aspect: tuple[float | None, float | None]
    queries_per_key: int
    feed_forward_ratio: float
    feed_forward_multiple: int
    same: Mapping[str, Any]

    @classmethod
    def checked(
        cls,
        *,
        aspect: Any,
        feed_forward_ratio: Any,
        feed_forward_multiple: Any,
        same: Mapping[str, Any],
        **counts: Any,
    ) -> Self:
        """Rules whose every number is checked.

        Raises:
            ArgumentError: one is not what it has to be, or is no rule.
        """
        allowed = [item.name for item in fields(Transformer) if item.name not in RULED]
        for name in same:
            if name != "vocab":
                choice(name, "field", allowed)
        gated = flag(same.get("gated", True), "gated")
        ratio = (8 / 3 if gated else 4.0) if feed_forward_ratio is None else feed_forward_ratio
        multiple = feed_forward_multiple
        if multiple is None:
            multiple = GATED_MULTIPLE if gated else 1
        counts["feed_forward_multiple"] = multiple
        whole_counts = {
            name: whole(value, name, least=1, most=MOST, remedy=f"Pass a multiple, as {name}=1")
            for name, value in counts.items()
        }
        return cls(
            **whole_counts,
            aspect=_aspect(aspect),
            feed_forward_ratio=number(
                ratio,
                "feed_forward_ratio",
                above=0,
                most=1e6,
                remedy="Pass hidden width over width, as feed_forward_ratio=4",
            ),
            same=Frozen(same),
        )

    @property
    def dense_layers(self) -> int:
        """Layers without experts, which every shape has more than."""
        least, remedy = COUNTS["dense_layers"]
        given = self.same.get("dense_layers", 0)
        return whole(given, "dense_layers", least=least, most=MOST_LAYERS - 1, remedy=remedy)

    @property
    def step(self) -> int:
        """What every width is a multiple of."""
        return math.lcm(self.width_multiple, self.head_size * self.queries_per_key)

    def shape(self, width: int, layers: int) -> Transformer:
        """The shape of a width and a number of layers."""
        width, heads = int(width), int(width) // self.head_size
        # A product such as 8/3 times 3 is not to be rounded up.
        blocks = math.ceil(self.feed_forward_ratio * width / self.feed_forward_multiple - 1e-9)
        return Transformer(
            width=width,
            layers=int(layers),
            heads=heads,
            head_size=self.head_size,
            kv_heads=heads // self.queries_per_key,
            feed_forward=max(blocks, 1) * self.feed_forward_multiple,
            **self.same,
        )

    def candidates(self, target: float, size: str, convention: str) -> Candidates:
        """Every shape within a factor of ``SPAN`` of a size, parameters by the convention ``size``.

        Raises:
            ArgumentError: a field of the shapes is not what it has to be.
        """
        low, high = target / SPAN, target * SPAN
        found: list[np.ndarray] = []
        for line in self._lines(size, convention):
            if _on(line.N, line.least) > high:
                break
            least = max(line.least, self._up((low - line.N[0]) / line.N[1]))
            most = min(line.most, (high - line.N[0]) / line.N[1])
            layers = np.arange(least, most + 1e-9, self.layers_multiple)
            found.append(
                np.array(
                    [np.full(layers.shape, line.width), layers]
                    + [item[0] + item[1] * layers for item in (line.N, line.flops)]
                )
            )
        rows = np.concatenate(found, axis=1) if found else np.empty((4, 0))
        return Candidates(rows[0].astype(int), rows[1].astype(int), rows[2], rows[3])

    def closest(self, target: float, size: str, convention: str) -> Candidates | None:
        """The one shape nearest to a size; None where there is none even far from it."""
        found: list[tuple[float, float, float, float]] = []
        for line in self._lines(size, convention):
            smallest = _on(line.N, line.least)
            if smallest > target * (SPAN if found else FARTHEST):
                break
            wanted = (target - line.N[0]) / line.N[1]
            for layers in (self._up(wanted) - self.layers_multiple, self._up(wanted)):
                highest = line.most - line.most % self.layers_multiple
                kept = max(min(layers, highest), line.least)
                if kept <= line.most:
                    found.append((line.width, kept, _on(line.N, kept), _on(line.flops, kept)))
        if not found:
            return None
        rows = np.array(found).T
        one = [int(np.argmin(np.abs(np.log(rows[2] / target))))]
        return Candidates(rows[0].astype(int), rows[1].astype(int), rows[2], rows[3]).at(one)

    def loosened(self) -> dict[str, Rules]:
        """The rules with one of them loosened, by its name."""
        small = min(self.head_size, SMALL_HEAD)
        others = {
            "aspect": replace(self, aspect=(None, None)),
            "width_multiple": replace(self, width_multiple=1),
            "head_size": replace(self, head_size=small, width_multiple=small),
            "layers_multiple": replace(self, layers_multiple=1),
        }
        return {name: other for name, other in others.items() if other != self}

    def _up(self, layers: float) -> int:
        """The next number of layers by the rules, from so many on."""
        return max(math.ceil(layers / self.layers_multiple - 1e-9), 1) * self.layers_multiple

    def _lines(self, size: str, convention: str) -> Iterator[Line]:
        """Shapes of every width, ascending; widths that the aspect ratio excludes are left out."""
        lowest, highest = self.aspect
        fewest = 1 + self.dense_layers
        for width in range(self.step, MOST, self.step):
            least = self._up(max(fewest, width / highest if highest is not None else 1))
            most = MOST_LAYERS
            if lowest is not None:
                most = min(most, math.floor(width / lowest + 1e-9))
            if least > most:
                continue
            one, two = (self.shape(width, fewest + more) for more in (0, 1))
            N = [float(getattr(item.parameters, size)) for item in (one, two)]
            flops = [item.flops_per_token(convention, size=size) for item in (one, two)]
            yield Line(
                width,
                least,
                most,
                *((low - fewest * (high - low), high - low) for low, high in (N, flops)),
            )


def _on(line: tuple[float, float], layers: float) -> float:
    return line[0] + line[1] * layers


def _aspect(aspect: Any) -> tuple[float | None, float | None]:
    """Least and greatest aspect ratio."""
    remedy = "Pass the least and the greatest width over layers, as aspect=(50, 150)"
    if not isinstance(aspect, tuple | list) or len(aspect) != 2:
        raise refused("aspect", aspect, "a pair", remedy)
    low, high = (
        None if item is None else number(item, f"aspect[{place}]", above=0, remedy=remedy)
        for place, item in enumerate(aspect)
    )
    if low is not None and high is not None and low > high:
        raise ArgumentError(
            f"aspect={aspect!r} is no pair in ascending order",
            argument="aspect",
            value=aspect,
            remedy=f"Pass aspect=({high:g}, {low:g})",
        )
    return low, high
