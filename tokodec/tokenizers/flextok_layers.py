"""FlexTok's transformers: one writes a row of registers about a map, one says how a noisy map moves, told a row and a time.

    map ── patches + waves ──┐
    registers ───────────────┴─ blocks ──> the registers' places ── norm ── linear ──> z (b,n,d)

    noisy map ── patches + waves ──┐
    z ── linear + positions ───────┴─ blocks, modulated by the time ──> the patches' places ── norm ── linear ──> velocity

Nothing that is normalised has weights of its own. Source: Bachmann et al., "FlexTok", ICML 2025 (apple/ml-flextok).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tokodec.nn.attention import attend, attend_where
from tokodec.nn.mix import ThinLinear
from tokodec.nn.patch import patches_by_place, picture_by_place
from tokodec.nn.position import waves
from tokodec.nn.transformer import positions

Places = Float[Tensor, "b n c"]
Row = Float[Tensor, "b n d"]
Map = Float[Tensor, "b c h w"]
Registers = Float[Tensor, "b row width"]
Pairs = Bool[Tensor, "n n"]
_WAVES = 256
"""Features of a time before they are mixed."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    """``depth`` blocks of ``width`` features in heads of ``head``; maps of ``channels`` in ``places`` x ``places`` patches of side
    ``patch``; ``row`` vectors of ``dim`` coordinates.
    """

    width: int
    depth: int
    head: int
    channels: int
    places: int
    patch: int
    row: int
    dim: int

    @property
    def samples(self) -> int:
        """Of a patch."""
        return self.channels * self.patch**2


def normed(x: Float[Tensor, "... c"]) -> Float[Tensor, "... c"]:
    """Mean 0 and variance 1 over the last axis, in float32."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=1e-5)


class Attention(nn.Module):
    """Queries and keys normalised in each head, and compared as 8 times their mean product. ``pairs``: who sees whom."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.query, self.key, self.value, self.out = (ThinLinear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Places, pairs: Pairs | None = None) -> Places:
        q, k, v = (project(x).unflatten(-1, (-1, self.head)).transpose(1, 2) for project in (self.query, self.key, self.value))
        # PyTorch divides by the root of the length of heads; of those of 64 as here that is the same.
        q, k = (normed(q) * (8 * self.head**-0.5)).to(v.dtype), normed(k).to(v.dtype)
        seen = attend(q, k, v) if pairs is None else attend_where(q, k, v, pairs)
        return self.out(seen.transpose(1, 2).flatten(2))


class GatedPerceptron(nn.Module):
    """``fall(silu(gate) * rise)``, with two thirds of the usual features between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 8 * width // 3
        self.gate = ThinLinear(width, hidden, bias=False)
        self.rise = ThinLinear(width, hidden, bias=False)
        self.fall = ThinLinear(hidden, width, bias=False)

    def forward(self, x: Places) -> Places:
        return self.fall(F.silu(self.gate(x)) * self.rise(x))


class Block(nn.Module):
    """Attention, then the perceptron, each added to what comes in."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.attention = Attention(tower.width, tower.head)
        self.perceptron = GatedPerceptron(tower.width)

    def forward(self, x: Places, pairs: Pairs | None = None) -> Places:
        x = x + self.attention(normed(x), pairs)
        return x + self.perceptron(normed(x))


class ModulatedBlock(Block):
    """What comes in and what is added is scaled and shifted by the time, patches and registers each in their own way."""

    def __init__(self, tower: Tower) -> None:
        super().__init__(tower)
        self.modulation = ThinLinear(tower.width, 12 * tower.width)

    def forward(self, x: Places, time: Float[Tensor, "b c"], patches: int) -> Places:  # type: ignore[override]
        each = self.modulation(F.silu(time)).unflatten(-1, (2, 6, -1))
        spread = torch.tensor([patches, x.shape[1] - patches], device=x.device)
        six = each.repeat_interleave(spread, 1, output_size=x.shape[1]).unbind(2)
        gate_attention, gate_perceptron, shift_attention, scale_attention, shift_perceptron, scale_perceptron = six
        x = x + gate_attention * self.attention(normed(x) * (1 + scale_attention) + shift_attention)
        return x + gate_perceptron * self.perceptron(normed(x) * (1 + scale_perceptron) + shift_perceptron)


class Patches(nn.Module):
    """Maps to places with their waves."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.side = tower.patch
        self.linear = ThinLinear(tower.samples, tower.width)
        self.waves = nn.Parameter(waves(tower.places, tower.width), requires_grad=False)

    def forward(self, x: Map) -> Float[Tensor, "b n width"]:
        return self.linear(patches_by_place(x, self.side)) + self.waves.flatten(2).transpose(1, 2)


class RegisterEncoder(nn.Module):
    """Patches see all patches; a register sees all patches, itself and those before it, so that none depends on how many follow."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.patches = Patches(tower)
        self.registers = positions(tower.row, tower.width)
        self.blocks = nn.ModuleList(Block(tower) for _ in range(tower.depth))
        self.leave = ThinLinear(tower.width, tower.dim)
        places = tower.places**2
        pairs = torch.ones(places + tower.row, places + tower.row, dtype=torch.bool).tril()
        pairs[:places, :places] = True
        self.register_buffer("pairs", pairs, persistent=False)

    pairs: Tensor

    def forward(self, x: Map) -> Row:
        h = torch.cat([self.patches(x), self.registers.expand(len(x), -1, -1)], 1)
        for block in self.blocks:
            h = block(h, self.pairs)
        return self.leave(normed(h[:, -len(self.registers) :]))


class Time(nn.Module):
    """Cosines and sines of a time, ``scale`` turns a unit at most, then two linear maps."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.rise, self.mix = ThinLinear(_WAVES, width), ThinLinear(width, width)

    def forward(self, s: Float[Tensor, " b"]) -> Float[Tensor, "b c"]:
        half = _WAVES // 2
        rate = self.scale * _WAVES ** -(torch.arange(half, dtype=torch.float32, device=s.device) / half)
        angle = s[:, None] * rate
        return self.mix(F.silu(self.rise(torch.cat([angle.cos(), angle.sin()], 1))))


class VelocityDecoder(nn.Module):
    """``mask`` stands for registers that there are not, ``nothing`` for all where the decoder is to know none."""

    def __init__(self, tower: Tower, scale: float) -> None:
        super().__init__()
        self.tower = tower
        self.enter = ThinLinear(tower.dim, tower.width)
        self.positions = positions(tower.width, tower.row)
        self.mask, self.nothing = (nn.Parameter(torch.randn(tower.width) * tower.width**-0.5) for _ in range(2))
        self.patches = Patches(tower)
        self.time = Time(tower.width, scale)
        self.blocks = nn.ModuleList(ModulatedBlock(tower) for _ in range(tower.depth))
        self.modulation = ThinLinear(tower.width, 2 * tower.width)
        self.leave = ThinLinear(tower.width, tower.samples)

    def told(self, z: Row, seen: Bool[Tensor, "b n"] | None = None) -> Registers:
        """All registers, of the first vectors of a row; ``seen``: which of those there are."""
        there = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device) if seen is None else seen
        missing = self.tower.row - z.shape[1]
        h = self.enter(F.pad(z, (0, 0, 0, missing))) + self.positions.T
        return h.where(F.pad(there, (0, missing))[..., None], self.mask.to(h.dtype))

    def untold(self, items: int) -> Registers:
        """The registers of no row at all."""
        return self.nothing.expand(items, self.tower.row, -1)

    def forward(self, x: Map, s: Float[Tensor, " b"], registers: Registers) -> Map:
        """The velocity of noisy maps at a time each."""
        time, patches = self.time(s), self.tower.places**2
        h = torch.cat([self.patches(x), registers], 1)
        for block in self.blocks:
            h = block(h, time, patches)
        shift, scale = self.modulation(F.silu(time))[:, None].chunk(2, -1)
        samples = self.leave(normed(h[:, :patches]) * (1 + scale) + shift)
        return picture_by_place(samples, self.tower.patch, (self.tower.places, self.tower.places)).float()
