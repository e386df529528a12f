"""Whether a parameter is still what something was made of."""

from torch import Tensor


def version(parameter: Tensor) -> object:
    """Equal as long as a parameter has not been changed, moved or replaced."""
    changes = None if parameter.is_inference() else parameter._version  # noqa: SLF001  PyTorch's name for it
    return parameter.data_ptr(), parameter.dtype, parameter.device, changes
