"""draft"""
from dataclasses import dataclass
import torch
from jaxtyping import Float
from torch import Tensor
import torch.nn.functional as F

from tokodec.api import Output, Pixels
from tokodec.codecs.hyperprior_vr import HyperpriorVR, HyperpriorVRConfig, _qualities, _output
from tokodec.entropy import quarters
from tokodec.entropy.fourstep import FourStepContext
from tokodec.entropy.laplace import laplace_bits
from tokodec.entry import Entry
from tokodec.nn.pad import padded
from tokodec.nn.lowres import LowResAnalysis, LowResSynthesis

STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class FourStepVRConfig(HyperpriorVRConfig):
    C: int = 192
    I: int = 128
    blocks8s: int = 5
    blocks8: int = 3
    context: str = "full"


class FourStepVR(HyperpriorVR):
    def __init__(self, config: FourStepVRConfig) -> None:
        super().__init__(config)
        c = config
        self.g_s = LowResSynthesis(c.N, c.W, c.M, c.blocks8s, c.blocks16)
        self.context = FourStepContext(c.M, c.H, c.C, c.I, c.rows)

    def forward(self, x: Pixels, *, quality: Float[Tensor, " b"] | None = None) -> Output:
        c = self.config
        q = _qualities(quality, x)
        y = self.g_a(padded(x, STRIDE) - 0.5, self.gain_a(q))
        gain_z = torch.exp2(self.gain_z(q))[..., None, None]
        z = self.h_a(y) * gain_z
        scale_z = torch.exp2(self.scale_z(q))[..., None, None].expand_as(z)
        bits_z = laplace_bits(self.rounding.for_rate(z), scale_z)
        features = self.h_s.features(self.rounding.for_decoder(z) / gain_z)[..., : y.shape[2], : y.shape[3]]
        hyper = self.h_s.layers[-1](features).float()
        log2_gain = self.gain_y(q)[..., None, None]
        gain = torch.exp2(log2_gain)
        mean, log2_scale = hyper.chunk(2, 1)
        known = torch.zeros_like(y)
        size = torch.zeros_like(y)
        means, scales = 0, 0
        for step in range(4):
            m = quarters.mask(step, c.M, y.shape[2:], y.device).float()
            p, s = (mean, log2_scale)
            if step and c.context != "none":
                k = known if c.context != "nosign" else known * 0
                a = size if c.context != "nosize" else size * 0
                dm, ds = self.context(step, k, a, features, q).chunk(2, 1)
                p, s = p + dm, s + ds
            p = p * m
            symbol = self.rounding.for_decoder((y * m - p) * gain)
            known = known + (symbol / gain + p)
            size = size + torch.log2(1 + symbol.detach().abs())
            means, scales = means + p, scales + s * m
        v = (y - means) * gain
        scale = torch.exp2((scales + log2_gain + self.scale_y(q)[..., None, None]).clamp(-8, 12))
        bits_y = laplace_bits(self.rounding.for_rate(v), scale)
        pixels = self.g_s(known, self.gain_s(q))[..., : x.shape[2], : x.shape[3]] + 0.5
        return _output(x, pixels, bits_y + bits_z, bits_z)


MODELS = {
    "fourstep_vr.v1": Entry(build=FourStepVR, config=FourStepVRConfig(), family="fourstep_vr", variable_rate=True),
}
