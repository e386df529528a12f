"""How far float64 is from deciding a code table differently: published codecs under machine settings that change the order of sums.

    python -m benchmarks.float64_margin [-m MODEL ...] [--size 384x256]

Models of full size with random weights, tiny ones (``*_test``) with theirs, samples/coffee.png brought to the size. Where all scales
stand among the tables, and all means of a serial context on their grid, is computed under every setting; the columns are the
largest difference from one thread: of scales, in tables (encoders keep ``tokodec.entropy.roles.MARGIN``), and of means, in steps
(``GRID_MARGIN``). Last, how many files of a setting another one does not read as the same symbols.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from benchmarks.speed_compressai import picture
from tokodec.api import Symbols
from tokodec.codecs.rated import RatedCodec
from tokodec.codecs.walked import WalkedCodec
from tokodec.entropy.roles import Rebuilder
from tokodec.errors import CorruptFile
from tokodec.nn import precise
from tokodec.pretrained import store
from tokodec.zoo import create

MODELS = (
    "hyperprior_128",
    "mean_scale_128",
    "joint_ar_m192",
    "cheng2020_attn_128",
    "cheng2020_checkerboard_128",
    "elic",
    "elic_chandelier",
    "channelwise",
    "dcvc_uf_intra",
    "dcvc_rt_intra",
)
QUALITY = 0.6
"""Of those that have one."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """PyTorch's own float64 convolutions in place of Winograd's filtering."""
    before = precise._WIDE  # noqa: SLF001
    precise._WIDE = 1 << 30  # noqa: SLF001
    yield
    precise._WIDE = before  # noqa: SLF001


Setting = Callable[[], AbstractContextManager[None]]
SETTINGS: Mapping[str, Setting] = {
    "one thread": nullcontext,
    "two threads": lambda: threads(2),
    "plain convolutions": plain_convolutions,
    "no oneDNN": lambda: torch.backends.mkldnn.flags(enabled=False),
}


class Watcher(Rebuilder):
    """Notes where scales and means stand."""

    def __init__(self, model: WalkedCodec, symbols: Symbols) -> None:
        super().__init__(model.path.gaussians, symbols.level % 256, symbols.values)
        self.scales: list[Tensor] = []
        self.means: list[Tensor] = [torch.zeros(1, dtype=torch.float64)]

    def _look(self, places: Tensor) -> None:
        self.scales.append(places.flatten().clone())

    def _look_at_means(self, at: Tensor) -> None:
        self.means.append(at.flatten().clone())


def model_of(name: str) -> WalkedCodec:
    """A tiny model as it is; another with random weights, that give scales of all sizes."""
    model = store.load(name) if name.endswith("_test") else create(name).to(memory_format=torch.channels_last).eval()
    assert isinstance(model, WalkedCodec)
    if not name.endswith("_test"):
        torch.manual_seed(0)
        for key, p in model.named_parameters():
            if "density" not in key and not key.endswith(("gamma", "beta")):
                p.add_(torch.randn_like(p) * (0.5 / max(p[0].numel(), 1) ** 0.5 if p.ndim > 1 else 0.3))
            if key.endswith(("mix_out.weight", "narrow.weight")):
                p.mul_(0.1)  # forty branches in a row would leave no scale in range
        model.freeze([])
    return model


def measured(name: str, x: Tensor) -> str:
    """A row of the table."""
    model, size = model_of(name), (x.shape[2], x.shape[3])
    quality = QUALITY if isinstance(model, RatedCodec) else None
    symbols = model.symbols(x, quality)
    seen: dict[str, Watcher] = {}
    payloads: list[bytes] = []
    for setting, entered in SETTINGS.items():
        with entered():
            seen[setting] = Watcher(model, symbols)
            model._walked(seen[setting], symbols.level, size)  # noqa: SLF001
            payloads += model.write(model.symbols(x, quality))
    first, *others = seen.values()
    cells = " | ".join(f"{_largest(first.scales, o.scales):.0e} / {_largest(first.means, o.means):.0e}" for o in others)
    places = torch.cat(first.scales)
    inside = float(((places > 0) & (places < model.path.gaussians.count - 1)).double().mean())
    wrong = sum(len(set(_readings(model, payload, size))) - 1 for payload in payloads)
    return f"| {name} | {places.numel()} | {inside:.0%} | {cells} | {wrong} |"


def _readings(model: WalkedCodec, payload: bytes, size: tuple[int, int]) -> Iterator[int | None]:
    for entered in SETTINGS.values():
        with entered():
            try:
                yield model.read([payload], size).crc32()[0]
            except CorruptFile:
                yield None


def _largest(first: list[Tensor], other: list[Tensor]) -> float:
    return float((torch.cat(first) - torch.cat(other)).abs().max())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append")
    parser.add_argument("--size", default="384x256", help="width x height")
    a = parser.parse_args()
    width, height = map(int, a.size.split("x"))
    x = torch.nn.functional.interpolate(picture(), size=(height, width), mode="bilinear", antialias=True)
    _, *others = SETTINGS
    print(f"| model | scales | between tables | {' | '.join(others)} | desyncs |")
    print("|" + "---|" * (len(others) + 4))
    with torch.inference_mode():
        for name in a.model or MODELS:
            print(measured(name, x), flush=True)


if __name__ == "__main__":
    main()
