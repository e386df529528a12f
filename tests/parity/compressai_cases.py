"""Weights and pictures by formula, and what CompressAI makes of them.

    python tests/parity/compressai_cases.py    # in an environment with compressai; writes compressai.json beside this file

The JSON holds keys and shapes of each tiny model, so that the weights can be made again without CompressAI, and its results.
"""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE = Path(__file__).with_name("compressai.json")
SAMPLES = 64

TINY: Mapping[str, tuple[str, Sequence[Any]]] = {
    "factorized": ("FactorizedPrior", [8, 12]),
    "hyperprior": ("ScaleHyperprior", [8, 12]),
    "mean_scale": ("MeanScaleHyperprior", [8, 12]),
    "joint_ar": ("JointAutoregressiveHierarchicalPriors", [8, 12]),
    "cheng2020_anchor": ("Cheng2020Anchor", [8]),
    "cheng2020_attn": ("Cheng2020Attention", [8]),
    "cheng2020_checkerboard": ("Cheng2020AnchorCheckerboard", [8]),
    "elic": ("Elic2022Official", [8, 16, [4, 4, 8]]),
    "elic_chandelier": ("Elic2022Chandelier", [8, 16, [2, 2, 4, 8]]),
}
FULL: Mapping[str, tuple[str, Sequence[Any]]] = {
    "factorized_128": ("FactorizedPrior", [128, 192]),
    "hyperprior_128": ("ScaleHyperprior", [128, 192]),
    "mean_scale_128": ("MeanScaleHyperprior", [128, 192]),
    "joint_ar_m192": ("JointAutoregressiveHierarchicalPriors", [192, 192]),
    "cheng2020_anchor_128": ("Cheng2020Anchor", [128]),
    "cheng2020_attn_128": ("Cheng2020Attention", [128]),
    "cheng2020_checkerboard_128": ("Cheng2020AnchorCheckerboard", [128]),
    "elic": ("Elic2022Official", []),
    "elic_chandelier": ("Elic2022Chandelier", []),
}


def weights(shapes: Mapping[str, Sequence[int]], scale_rows: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """A state dict by formula: every tensor from its name and shape. ``scale_rows``: biases whose rows give scales."""
    found = {name: _tensor(name, list(shape)) for name, shape in shapes.items()}
    for name, (start, stop) in scale_rows.items():
        found[name][start:stop] += 5.0
    return found


def _tensor(name: str, shape: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    noise = torch.randn(shape, generator=generator)
    if name.endswith("quantiles"):
        return torch.tensor([-40.0, 0.0, 40.0]) + 0.3 * noise
    if "matri" in name:
        return (-0.1 if shape[1] == 1 else -1.4) + 0.2 * noise
    if name.endswith(".gamma"):
        return 0.3 * torch.eye(shape[0]) + 0.02 * noise.abs()
    if name.endswith(".beta"):
        return 1 + 0.05 * noise
    if len(shape) < 2 or "factor" in name or "bias" in name:
        return 0.1 * noise
    gain = 1.2
    if any(part in name for part in ("conv", "skip", "context", "entropy_parameters")):  # what is added up, or fed back
        gain = 0.5
    return noise * (gain / math.sqrt(noise[0].numel()))


def picture(height: int, width: int) -> Tensor:
    """Smooth, with some texture."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


def sampled(tensor: Tensor) -> list[float]:
    """Values spread over a tensor."""
    flat = tensor.flatten()
    return flat[torch.linspace(0, len(flat) - 1, SAMPLES).long()].tolist()


def total(strings: Any) -> int:
    """Bytes of nested lists of strings."""
    return len(strings) if isinstance(strings, bytes) else sum(total(s) for s in strings)


def count(strings: Any) -> int:
    """How many strings there are."""
    return 1 if isinstance(strings, bytes) else sum(count(s) for s in strings)


def reference(kind: str, arguments: Sequence[Any]) -> Any:
    """CompressAI's model with these weights, and what describes them."""
    from compressai import models  # noqa: PLC0415

    model = getattr(models, kind)(*arguments).eval()
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    rows = _scale_rows(model)
    model.load_state_dict({**model.state_dict(), **weights(shapes, rows)})
    model.update(force=True)
    return model, shapes, rows


def _scale_rows(model: Any) -> dict[str, tuple[int, int]]:
    names = [name for name, _ in model.named_parameters()]
    aggregations = sorted({n.split("entropy_parameters")[0] for n in names if "entropy_parameters" in n})
    found = {}
    for root in [f"{a}entropy_parameters" for a in aggregations] or [n for n in ("h_s",) if any(x.startswith("h_s") for x in names)]:
        bias = [n for n in names if n.startswith(root) and n.endswith("bias")][-1]
        size = dict(model.named_parameters())[bias].shape[0]
        half = size if type(model).__name__ == "ScaleHyperprior" else size // 2
        found[bias] = (half, size) if type(model).__name__ == "Elic2022Chandelier" else (0, half)
    return found


@torch.no_grad()
def results(model: Any, x: Tensor) -> dict[str, Any]:
    """Likelihood bits and pixels of the forward pass, and bytes, latents and pixels of the real coder."""
    forward = model(x)
    seen: dict[str, Tensor] = {}
    handle = model.g_s.register_forward_pre_hook(lambda _, inputs: seen.update(y_hat=inputs[0].clone()))
    stream = model.compress(x)
    decoded = model.decompress(stream["strings"], stream["shape"])["x_hat"].clamp(0, 1)
    handle.remove()
    return {
        "bits": {name: float(-v.double().log2().sum()) for name, v in forward["likelihoods"].items()},
        "forward": forward["x_hat"],
        "y_hat": seen["y_hat"],
        "pixels": decoded,
        "bytes": total(stream["strings"]),
        "strings": count(stream["strings"]),
    }


def main() -> None:
    """Write the JSON."""
    x = picture(128, 192)
    rows = {}
    for name, (kind, arguments) in TINY.items():
        model, shapes, scale_rows = reference(kind, arguments)
        found = {k: sampled(v) if isinstance(v, Tensor) else v for k, v in results(model, x).items()}
        rows[name] = {"shapes": shapes, "scale_rows": scale_rows, **found}
    FILE.write_text(json.dumps(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
