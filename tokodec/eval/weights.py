"""Weights of the networks that measure: real ones by their SHA-256, where torch and packages keep them. Nothing is fetched."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from tokodec.errors import ModelNotFound
from tokodec.losses.verified import verified


@dataclass(frozen=True, kw_only=True)
class Weight:
    """A file. ``names``: as it may be called in torch's folder of checkpoints (``$TORCH_HOME/hub/checkpoints``), the usual one first.

    ``inside``: import name of a package that brings it, and where in it. ``origin``: what a user does to get it.
    """

    names: tuple[str, ...]
    sha256: str
    origin: str
    inside: tuple[str, str] | None = None

    def path(self) -> Path:
        """Where it lies. Raises ModelNotFound where it is not, and InputError for another file of that name."""
        folder = Path(torch.hub.get_dir(), "checkpoints")
        places = [folder / name for name in self.names]
        if self.inside is not None:
            places += [root / self.inside[1] for root in _roots(self.inside[0])]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise ModelNotFound(f"not run, the weights {self.names[0]} are missing: {self.origin.format(folder=folder)}")
        return verified(found, self.sha256)


def _roots(package: str) -> list[Path]:
    """Where a package lies. It is not imported: some look for networks as they are."""
    spec = find_spec(package)
    return [Path(root) for root in (spec.submodule_search_locations or ())] if spec is not None else []


def _hub(name: str) -> str:
    return f"download https://download.pytorch.org/models/{name} to {{folder}}"


ALEXNET = Weight(
    names=("alexnet-owt-7be5be79.pth",),
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    origin=_hub("alexnet-owt-7be5be79.pth"),
)
VGG16 = Weight(
    names=("vgg16-397923af.pth",),
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    origin=_hub("vgg16-397923af.pth"),
)
INCEPTION = Weight(
    names=("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"),
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    origin="download pt_inception-2015-12-05-6726825d.pth of github.com/mseitzer/pytorch-fid/releases/tag/fid_weights to {folder}",
)
LPIPS_ALEX = Weight(
    names=("lpips_v0.1_alex.pth",),
    sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    origin='pip install "tokodec[eval]"',
    inside=("lpips", "weights/v0.1/alex.pth"),
)
LPIPS_VGG = Weight(
    names=("lpips_v0.1_vgg.pth",),
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    origin='pip install "tokodec[eval]"',
    inside=("lpips", "weights/v0.1/vgg.pth"),
)
DISTS_HEADS = Weight(
    names=("dists_weights.pt",),
    sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
    origin='pip install "tokodec[eval]"',
    inside=("DISTS_pytorch", "weights.pt"),
)
