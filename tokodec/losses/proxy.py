"""The ids that MaskGIT's VQGAN gives a picture, told by a tokenizer: what a row of ids is trained on before it sees pixels.

Source: Yu et al., "An image is worth 32 tokens for reconstruction and generation", NeurIPS 2024 (proxy codes).
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokodec import storage
from tokodec.api import Output, Pixels
from tokodec.errors import CorruptFile, InputError
from tokodec.losses.verified import verified
from tokodec.nn.maskgit import MaskGitEncoder
from tokodec.quantizers.codebook import VectorQuantizer


@dataclass(frozen=True, kw_only=True)
class ProxyCodes:
    """The mean cross entropy, in nats, of the ids under the model's ``logits``.

    ``file``: weights of ``maskgit_vqgan`` as ``tokodec models convert`` writes them; ``sha256`` of it. Nothing is fetched.
    """

    file: str
    sha256: str

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item. Raises InputError for a model that tells no such logits."""
        logits = output.aux.get("logits")
        if logits is None:
            raise InputError(f"the model tells no logits of proxy codes; it tells {', '.join(output.aux)}")
        ids = _proxies(self, x.device)(x)
        if logits.shape[:2] != ids.shape:
            raise InputError("proxy codes need crops of one window")
        return F.cross_entropy(logits.float().transpose(1, 2), ids, reduction="none").mean(1)


class Proxies(nn.Module):
    """Pictures in [0, 1] to the ids of each place, row by row."""

    def __init__(self, encoder: MaskGitEncoder, quantizer: VectorQuantizer) -> None:
        super().__init__()
        self.encoder, self.quantizer = encoder, quantizer

    @torch.no_grad()
    def forward(self, x: Pixels) -> Int[Tensor, "b n"]:
        with torch.autocast(x.device.type, enabled=False):
            return self.quantizer.ids(self.encoder(x.float()).flatten(2).transpose(1, 2))


@cache
def _proxies(recipe: ProxyCodes, device: torch.device) -> Proxies:
    """The network of a recipe, ready. Raises InputError for a file that does not hold it."""
    try:
        tensors, meta = storage.unpack(storage.read(verified(recipe.file, recipe.sha256)))
        config = meta["config"]
        widths = [config["width"] * m for m in config["multipliers"]]
        encoder = MaskGitEncoder(widths, config["blocks"], config["z"], config["groups"])
        found = Proxies(encoder, VectorQuantizer(config["size"], config["z"]))
        found.load_state_dict({key: t.float() for key, t in tensors.items() if not key.startswith("decoder.")})
    except (CorruptFile, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{recipe.file} does not hold weights of maskgit_vqgan: {str(error).splitlines()[0][:100]}") from None
    return found.to(device).eval().requires_grad_(requires_grad=False)
