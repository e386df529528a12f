"""CompressAI's side of published_codecs.py: a process of its environment that runs one job a line of standard input.

It knows nothing of tokodec. ``setup CLASS JSON FOLDER`` makes a model with random weights such that its latents and scales
are like those of a trained one, and writes ``weights.pth`` and ``reference.npz`` (what it makes of picture.npy) to the folder;
then ``compress N`` and ``decompress N`` say how long one of N runs takes. Each answers with one line of JSON.
"""

import json
import math
import os
import warnings
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
warnings.simplefilter("ignore")

import compressai  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from compressai import models  # noqa: E402
from compressai.models.sensetime import Elic2022Chandelier  # noqa: E402
from compressai_peer import serve, timed  # noqa: E402  beside this file
from torch import Tensor, nn  # noqa: E402

torch.set_num_threads(1)
torch.set_grad_enabled(False)

LATENT_DEVIATION = 1.0
"""Of the latents of random models, in steps of the quantiser: about a bit a symbol."""


def randomised(model: nn.Module, x: Tensor) -> nn.Module:
    """All parameters moved, latents scaled, and scales set to what the latents of each channel deviate."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "quantiles" in name or "matri" in name:
            continue
        if name.endswith(("gamma", "beta")):
            parameter.add_(0.01 * torch.rand_like(parameter))
        else:
            spread = 0.3 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.05
            parameter.add_(spread * torch.randn_like(parameter))
    y = model.g_a(x)
    last = model.g_a[-1]
    if isinstance(last, nn.Conv2d):  # not where attention comes last
        for p in (last.weight, last.bias):
            p.mul_(LATENT_DEVIATION / y.std())
    deviation = model.g_a(x).std((0, 2, 3))
    for layer, rows, channels in _scale_layers(model):
        layer.weight[rows] *= 0.1
        layer.bias[rows] = deviation[channels] * 1.3 + 0.2
    model.update(force=True)
    return model


def _scale_layers(model: nn.Module) -> list[tuple[nn.Conv2d, slice, slice]]:
    """The last layers that give scales: which of their rows, for which channels of y."""
    named = dict(model.named_modules())
    aggregations = [n for n in named if n.endswith("entropy_parameters") and any(True for _ in named[n].parameters())]
    roots = aggregations or [n for n in ("h_s",) if n in named]
    found, start = [], 0
    for root in roots:
        layer = [m for m in named[root].modules() if isinstance(m, nn.Conv2d)][-1]
        half = layer.out_channels if type(model) is models.ScaleHyperprior else layer.out_channels // 2  # the others give means too
        swapped = isinstance(model, Elic2022Chandelier)
        found.append((layer, slice(half, None) if swapped else slice(0, half), slice(start, start + half)))
        start += half
    return found


def total(strings: object) -> int:
    """Bytes of nested lists of strings."""
    return len(strings) if isinstance(strings, bytes) else sum(total(s) for s in strings)  # type: ignore[attr-defined]


def count(strings: object) -> int:
    """How many strings there are."""
    return 1 if isinstance(strings, bytes) else sum(count(s) for s in strings)  # type: ignore[attr-defined]


class Peer:
    """One model and one picture."""

    def __init__(self, kind: str, arguments: list[int], folder: Path) -> None:
        self.x = torch.from_numpy(np.load(folder / "picture.npy"))
        model = getattr(models, kind)(*arguments).eval()
        self.model = randomised(model, self.x[..., :256, :256])
        torch.save(self.model.state_dict(), folder / "weights.pth")
        self.stream = self.model.compress(self.x)
        pixels = self.model.decompress(self.stream["strings"], self.stream["shape"])["x_hat"]
        likelihoods = self.model(self.x)["likelihoods"]
        self._facts: dict[str, object] = {
            "bytes": total(self.stream["strings"]),
            "strings": count(self.stream["strings"]),
            "bits": {name: float(-v.log2().sum()) for name, v in likelihoods.items()},
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "versions": {"compressai": compressai.__version__, "torch": torch.__version__, "numpy": np.__version__},
        }
        np.savez(folder / "reference.npz", pixels=pixels.numpy())

    def run(self, job: str, times: int) -> dict[str, float]:
        """CPU and wall seconds of one run, the mean of ``times``."""
        decompress = partial(self.model.decompress, self.stream["strings"], self.stream["shape"])
        return timed(partial(self.model.compress, self.x) if job == "compress" else decompress, times)

    def facts(self) -> dict[str, object]:
        """What was made, and how."""
        return self._facts


if __name__ == "__main__":
    serve(lambda rest: Peer(rest[0], json.loads(rest[1]), Path(rest[2])))
