"""Where LLaVA keeps what stands between its vision tower and its language model."""

from collections.abc import Mapping

from torch import Tensor

PREFIX = "model.mm_projector."


def of_the_projector(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Its tensors without the prefix, out of a whole model or a shard of one; a checkpoint of nothing else is as it is."""
    found = {key.removeprefix(PREFIX): t for key, t in checkpoint.items() if key.startswith(PREFIX)}
    return found or dict(checkpoint)
