"""Weights by formula, and what the image codecs of microsoft/DCVC make of them, in its plain PyTorch at small widths.

    python tests/parity/dcvc_cases.py CHECKOUT    # a checkout of microsoft/DCVC; writes dcvc.json beside this file

The JSON holds keys and shapes of each model, so that the weights can be made again without DCVC, and its results on a picture.
"""

import importlib
import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE = Path(__file__).with_name("dcvc.json")
SAMPLES = 48
SIZE = (80, 112)
"""Of the picture: y is 5x7, so that latents are padded for z and quarters are uneven."""
RATES = (5, 50)
N, M, Z = 12, 8, 6
GENTLE = ("hyper_enc.0.adaptor.weight", "hyper_enc.conv.0.adaptor.weight")
LAST = ("y_prior_fusion.3.bias", "y_prior_fusion.conv.3.bias", "y_spatial_prior.3.bias", "y_spatial_prior.conv.3.bias")


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A state dict by formula: every tensor from its name and shape."""
    return {name: _tensor(name, list(shape)) for name, shape in shapes.items()}


def _tensor(name: str, shape: list[int]) -> Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.startswith("q_scale"):
        return 1 + 0.2 * noise
    if name.startswith("bit_estimator"):
        return 0.5 * noise
    if len(shape) == 1:
        return 0.2 * noise + 4.0 * name.endswith(LAST)  # most scales positive
    gain = 4.0 if name == "enc.enc_2.6.weight" else 0.3 if name.endswith(("dc.3.weight", "ffn.2.weight", *GENTLE)) else 0.7
    return noise * (gain / math.sqrt(noise[0].numel()))


def picture() -> Tensor:
    """RGB in [0, 1]: smooth, with some texture."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(1, 3, SIZE[0] // 16, SIZE[1] // 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=SIZE, mode="bicubic")
    return (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


def sampled(tensor: Tensor) -> list[float]:
    """Values spread over a tensor."""
    flat = tensor.flatten()
    return flat[torch.linspace(0, len(flat) - 1, SAMPLES).long()].tolist()


def _module(root: Path) -> Any:
    """Its ``src.models.image_model``; the packages of both codecs have the same name."""
    for name in [n for n in sys.modules if n == "src" or n.startswith("src.")]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    found = importlib.import_module("src.models.image_model")
    sys.path.pop(0)
    return found


def _uf(root: Path) -> Any:
    module = _module(root)
    module.g_ch_enc_dec, module.g_ch_y, module.g_ch_z = N, M, Z
    return module.DMCI()


def _rt(root: Path) -> Any:
    module = _module(root / "DCVC-family" / "DCVC-RT")
    module.g_ch_enc_dec = N
    return module.DMCI(N=M, z_channel=Z)


def _common(model: Any, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """y, z and the hyper features, with latents padded for z as its inference does."""
    y = model.enc(x, scale)
    z = model.hyper_enc(torch.nn.functional.pad(y, (0, -y.shape[3] % 4, 0, -y.shape[2] % 4), mode="replicate"))
    return y, z, model.y_prior_fusion(model.hyper_dec(z.round()))[..., : y.shape[2], : y.shape[3]]


def _nets(model: Any) -> list[Any]:
    enter = [getattr(model, f"y_spatial_prior_adaptor_{k}") for k in (1, 2, 3)]
    return [model.y_spatial_prior_reduction, *enter, model.y_spatial_prior]


def _results_uf(model: Any, ycbcr: Tensor, rate: int) -> dict[str, Tensor]:
    factors = [getattr(model, f"q_scale_{n}")[rate][None, :, None, None] for n in ("enc", "y_enc", "y_dec", "dec")]
    y, z, params = _common(model, ycbcr - 0.5, factors[0])
    _, y_q, y_hat, scales = model.forward_prior_4x(y, factors[1], factors[2], params, *_nets(model))
    index = torch.tensor([rate])
    bits_z = model.get_z_bits(z.round(), index).sum()
    x_hat = model.dec(y_hat, factors[3]) + 0.5
    means = y_hat / factors[2] - y_q
    return {
        "y": y,
        "z": z,
        "symbols": y_q,
        "means": means,
        "scales": scales,
        "y_hat": y_hat,
        "x_hat": x_hat,
        "bits_z": bits_z,
    }


def _results_rt(model: Any, ycbcr: Tensor, rate: int) -> dict[str, Tensor]:
    y, z, params = _common(model, ycbcr, model.q_scale_enc[rate : rate + 1])
    found: list[tuple[Tensor, Tensor]] = []
    process = model.process_with_mask

    def seen(y: Tensor, scales: Tensor, means: Tensor, mask: Tensor) -> Any:
        found.append((scales * mask, means * mask))
        return process(y, scales, means, mask)

    model.process_with_mask = seen
    y_hat = model.compress_prior_4x(y, params, *_nets(model))[-1]
    scales, means = (sum(f[i] for f in found) for i in (0, 1))
    after = torch.sigmoid(params[:, 1:2]) * 1.5 + 0.5
    index = torch.tensor([rate])
    mass = model.bit_estimator_z(z.round() + 0.5, index) - model.bit_estimator_z(z.round() - 0.5, index)
    x_hat = model.dec(y_hat, model.q_scale_dec[rate : rate + 1])
    symbols = y_hat / after - means
    return {
        "y": y,
        "z": z,
        "symbols": symbols,
        "means": means,
        "scales": scales,
        "y_hat": y_hat,
        "x_hat": x_hat,
        "bits_z": -mass.log2().sum(),
    }


def main(checkout: Path) -> None:
    """Write the reference results."""
    _module(checkout)
    ycbcr = importlib.import_module("src.utils.transforms").rgb2ycbcr(picture())
    found = {}
    for name, build, results in (("dcvc_uf_intra", _uf, _results_uf), ("dcvc_rt_intra", _rt, _results_rt)):
        model = build(checkout).eval()
        shapes = {key: list(t.shape) for key, t in model.state_dict().items()}
        model.load_state_dict(weights(shapes))
        with torch.no_grad():
            rates = {str(rate): results(model, ycbcr, rate) for rate in RATES}
        found[name] = {
            "shapes": shapes,
            "rates": {r: {k: sampled(t) if t.ndim else float(t) for k, t in row.items()} for r, row in rates.items()},
        }
    FILE.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
