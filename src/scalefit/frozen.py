"""A mapping that cannot be changed, and can be hashed, copied and pickled."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Generic, TypeVar

__all__ = ["Frozen"]

Key = TypeVar("Key")
Value = TypeVar("Value", covariant=True)


class Frozen(Mapping[Key, Value], Generic[Key, Value]):
    """A read-only copy of a mapping, in its order.

    ``types.MappingProxyType`` is a view of a dictionary that can still change, and can be neither
    hashed nor pickled.
    """

    __slots__ = ("_items",)
    _items: dict[Key, Value]

    def __init__(self, items: Mapping[Key, Value] | None = None) -> None:
        object.__setattr__(self, "_items", dict(items or {}))

    def __getitem__(self, key: Key) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    # The views of the dictionary itself: they go backwards too, and are as fast.
    def keys(self) -> KeysView[Key]:
        """Its keys, in order."""
        return self._items.keys()

    def values(self) -> ValuesView[Value]:
        """Its values, in order."""
        return self._items.values()

    def items(self) -> ItemsView[Key, Value]:
        """Its pairs, in order."""
        return self._items.items()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __or__(self, other: Mapping[Key, Any]) -> dict[Key, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[Key, Any]) -> dict[Key, Any]:
        return {**other, **self}

    def __hash__(self) -> int:
        # Of the keys: values may be lists, which equal each other and are not hashed.
        return hash(frozenset(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __repr__(self) -> str:
        return repr(dict(self))
