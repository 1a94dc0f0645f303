"""What was computed last, kept up to a number of bytes: per process, never shared, never pickled."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from numpy.typing import NDArray


class ArrayCache:
    """Arrays by key; the ones not used for longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[Hashable, NDArray] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], NDArray]) -> NDArray:
        """Return the array of a key, made if it is not here; it is read-only, for others will get it too."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        array.flags.writeable = False
        self._arrays[key] = array
        self.n_bytes += array.nbytes
        while self.n_bytes > self.max_bytes and self._arrays:
            self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array
