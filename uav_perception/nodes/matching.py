"""Brings images and the results made from them together again, by stamp."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Left = TypeVar("Left")
Right = TypeVar("Right")


class StampMatcher(Generic[Left, Right]):
    """Pairs two streams whose members carry equal stamps. Either side may come first.

    Args:
        capacity: how many members of each side are kept while they wait.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._left: OrderedDict[int, Left] = OrderedDict()
        self._right: OrderedDict[int, Right] = OrderedDict()
        self.unmatched = 0

    def add_left(self, stamp_ns: int, item: Left) -> tuple[Left, Right] | None:
        """Add an image; returns the pair when its result is here already."""
        if stamp_ns in self._right:
            self._forget_up_to(stamp_ns)
            return item, self._right.pop(stamp_ns)
        self._keep(self._left, stamp_ns, item)
        return None

    def add_right(self, stamp_ns: int, item: Right) -> tuple[Left, Right] | None:
        """Add a result; returns the pair when its image is here already."""
        if stamp_ns in self._left:
            left = self._left.pop(stamp_ns)
            self._forget_up_to(stamp_ns)
            return left, item
        self.unmatched += len(self._right) >= self._capacity
        self._keep(self._right, stamp_ns, item)
        return None

    def clear(self) -> None:
        """Forget everything that waits."""
        self._left.clear()
        self._right.clear()

    def _keep(self, side: OrderedDict, stamp_ns: int, item: object) -> None:
        side[stamp_ns] = item
        while len(side) > self._capacity:
            side.popitem(last=False)

    def _forget_up_to(self, stamp_ns: int) -> None:
        """Images older than a matched one get no result any more: results come in the order of their images."""
        for stamp in [stamp for stamp in self._left if stamp < stamp_ns]:
            del self._left[stamp]
