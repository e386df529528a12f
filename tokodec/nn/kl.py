"""The halves of a KL autoencoder of latent diffusion models: pictures to mean and variance of a latent, and latents to pictures.

Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022.
"""

from jaxtyping import Float
from torch import Tensor, nn

from tokodec.nn.mix import Mix
from tokodec.nn.vqgan import Decoder, Encoder, Shape

Map = Float[Tensor, "b c h w"]
Latent = Float[Tensor, "b z h2 w2"]
_LOWEST, _HIGHEST = -30.0, 20.0
"""Of the logarithm of a variance."""


class KLEncoder(nn.Module):
    """Pictures in [-1, 1] to latents of ``z`` channels."""

    def __init__(self, shape: Shape, z: int) -> None:
        super().__init__()
        self.net = Encoder(shape, 2 * z)
        self.mix = Mix(2 * z, 2 * z)

    def forward(self, x: Map) -> tuple[Latent, Latent]:
        """The mean and the logarithm of the variance."""
        mean, log_variance = self.mix(self.net(x).contiguous()).float().chunk(2, 1)
        return mean, log_variance.clamp(_LOWEST, _HIGHEST)


class KLDecoder(nn.Module):
    """The inverse."""

    def __init__(self, shape: Shape, z: int) -> None:
        super().__init__()
        self.mix = Mix(z, z)
        self.net = Decoder(shape, z)

    def forward(self, z: Latent) -> Map:
        return self.net(self.mix(z.contiguous()))
