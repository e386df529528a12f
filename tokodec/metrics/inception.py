"""The network of FID and KID: Inception v3 as it was ported from TensorFlow, whose blocks pool in a way of their own.

Source: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016; the port of mseitzer/pytorch-fid.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.errors import InputError

FEATURES = 2048
_SIDE = 299
_CLASSES = 1008


class FIDInception(nn.Module):
    """Features of pictures in [0, 1], (b, FEATURES): brought to 299 x 299 by bilinear interpolation without a filter, as FID is defined.

    ``tensors``: the state dict. Raises InputError for one of another network.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        from torchvision.models import inception_v3  # noqa: PLC0415  slow to import, and few runs need it

        whole = inception_v3(weights=None, num_classes=_CLASSES, aux_logits=False, init_weights=False)
        wanted = whole.state_dict()
        kept = {name: tensor for name, tensor in tensors.items() if name in wanted}
        try:
            whole.load_state_dict(kept)
        except RuntimeError as error:
            raise InputError(f"these are no weights of FID's Inception: {str(error).splitlines()[-1].strip()}") from None
        self.layers = nn.Sequential(*(_repooled(name, layer) for name, layer in whole.named_children() if name not in ("dropout", "fc")))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        x = F.interpolate(x, (_SIDE, _SIDE), mode="bilinear", align_corners=False)
        return self.layers(2 * x - 1).flatten(1)


def _repooled(name: str, block: nn.Module) -> nn.Module:
    """The last block takes maxima; the others of one size leave what lies outside of the map out of their means."""
    if name == "Mixed_7c":
        return Repooled(block, nn.MaxPool2d(3, stride=1, padding=1))
    if name.startswith("Mixed") and hasattr(block, "branch_pool"):
        return Repooled(block, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
    return block


class Repooled(nn.Module):
    """A block of torchvision's with another pooling in its last branch."""

    def __init__(self, block: Any, pool: nn.Module) -> None:
        super().__init__()
        self.block: Any = block
        self.pool = pool

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        *others, _ = self.block._forward(x)  # noqa: SLF001  torchvision's own seam between branches and their concatenation
        return torch.cat([*others, self.block.branch_pool(self.pool(x))], 1)
