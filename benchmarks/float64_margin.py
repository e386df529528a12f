"""How far float64 is from deciding a code table differently: published codecs under machine settings that change the order of sums.

    python -m benchmarks.float64_margin [-m MODEL ...]

Random weights of full size, samples/coffee.png at 384x256. The places of all scales among the tables are computed under every
setting; *largest* is the largest difference of any place from that of the first setting, in tables. The margin that encoders keep
(``tokodec.entropy.roles.MARGIN``) is 1e-9. Also counted: files of each setting that another setting does not read as the same symbols.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.speed_compressai import picture
from tokodec.codecs.latent import LatentCodec
from tokodec.entropy import roles
from tokodec.nn import precise
from tokodec.zoo import create

MODELS = (
    "hyperprior_128",
    "mean_scale_128",
    "joint_ar_m192",
    "cheng2020_attn_128",
    "cheng2020_checkerboard_128",
    "elic",
    "elic_chandelier",
)


@contextmanager
def threads(count: int) -> Iterator[None]:
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


@contextmanager
def no_onednn() -> Iterator[None]:
    with torch.backends.mkldnn.flags(enabled=False):
        yield


@contextmanager
def nothing() -> Iterator[None]:
    yield


SETTINGS = {"one thread": nothing, "two threads": lambda: threads(2), "plain convolutions": plain_convolutions, "no oneDNN": no_onednn}


class Seen:
    """The places of the scales of one walk."""

    def __init__(self) -> None:
        self.places: list[Tensor] = []
        self._place: Callable[[Tensor], Tensor] = roles.gaussian.place

    def __call__(self, scales: Tensor) -> Tensor:
        places = self._place(scales)
        self.places.append(places.clone())
        return places

    @contextmanager
    def watching(self) -> Iterator[None]:
        roles.gaussian.place = self
        yield
        roles.gaussian.place = self._place


def random_model(name: str) -> LatentCodec:
    """With weights that give scales of all sizes."""
    torch.manual_seed(0)
    model = create(name)
    assert isinstance(model, LatentCodec)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if "density" not in key and not key.endswith(("gamma", "beta")):
                p.add_(torch.randn_like(p) * (0.5 / max(p[0].numel(), 1) ** 0.5 if p.ndim > 1 else 0.3))
    model.freeze([])
    return model.eval().requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)


def measured(name: str, x: Tensor) -> str:
    """A row of the table."""
    model = random_model(name)
    symbols = model.symbols(x)
    found: dict[str, list[Tensor]] = {}
    payloads: dict[str, bytes] = {}
    for setting, entered in SETTINGS.items():
        seen = Seen()
        with entered(), seen.watching():
            model._walked(roles.Rebuilder(model.path.first_density, symbols.level, symbols.values), symbols.level, x.shape[2:])  # noqa: SLF001
        found[setting] = seen.places
        with entered():
            payloads[setting] = model.write(model.symbols(x))[0]
    wrong = 0
    for payload in payloads.values():
        crcs = set()
        for entered in SETTINGS.values():
            with entered():
                crcs.add(model.read([payload], tuple(x.shape[2:])).crc32()[0])
        wrong += len(crcs) - 1
    first = found["one thread"]
    others = {s: places for s, places in found.items() if s != "one thread"}
    largest = {s: max(float((a - b).abs().max()) for a, b in zip(first, places, strict=True)) for s, places in others.items()}
    spread = torch.cat([p.flatten() for p in first])
    inside = float(((spread > 0) & (spread < roles.gaussian.TABLES - 1)).double().mean())
    cells = " | ".join(f"{largest[s]:.0e}" for s in largest)
    return f"| {name} | {spread.numel()} | {inside:.0%} | {cells} | {wrong} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", action="append")
    a = parser.parse_args()
    x = torch.nn.functional.interpolate(picture(), size=(256, 384), mode="area")
    print("| model | scales | between tables | " + " | ".join(s for s in SETTINGS if s != "one thread") + " | desyncs |")
    print("|" + "---|" * (len(SETTINGS) + 3))
    with torch.inference_mode():
        for name in a.model or MODELS:
            print(measured(name, x), flush=True)


if __name__ == "__main__":
    main()
