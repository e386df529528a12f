"""What is made of a parameter and kept until that changes."""

from collections.abc import Callable

from torch import Tensor


def version(parameter: Tensor) -> object:
    """Equal as long as a parameter has not been changed, moved or replaced."""
    changes = None if parameter.is_inference() else parameter._version  # noqa: SLF001  PyTorch's name for it
    return parameter.data_ptr(), parameter.dtype, parameter.device, changes


class Kept:
    """What ``make`` makes of a layer's weight, made again when that has changed."""

    def __init__(self, make: Callable[[Tensor], Tensor]) -> None:
        self._make = make
        self._made_of: object = None
        self._made: Tensor | None = None

    def of(self, weight: Tensor) -> Tensor:
        """For the layer's weight."""
        now = version(weight)
        if self._made is None or now != self._made_of:
            self._made, self._made_of = self._make(weight), now
        return self._made
