"""Objectives of tokenizers: against other implementations, and what they refuse."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec.api import Output
from tokodec.errors import InputError
from tokodec.losses.objective import OBJECTIVES
from tokodec.losses.perceptual import LPIPSAlex, LPIPSVGG
from tokodec.losses.similarity import haarpsi, ms_ssim

Q = torch.zeros(2)


def output(pixels: Tensor, **terms: Tensor) -> Output:
    return Output(pixels=pixels, terms=terms)


def pair(picture: Any, side: int = 176) -> tuple[Tensor, Tensor]:
    x = picture(side, side, batch=2)
    return x, (x + 0.05 * torch.randn_like(x)).clamp(0, 1)


@pytest.mark.parametrize("name", ["l1", "mse", "ms_ssim", "haarpsi"])
def test_equal_pictures_lose_nothing_and_others_more_the_less_alike(name: str, picture: Any) -> None:
    objective, (x, y) = OBJECTIVES[name](), pair(picture)
    assert torch.allclose(objective(x, Q, output(x)), torch.zeros(2), atol=1e-4)
    near, far = objective(x, Q, output((x + y) / 2)), objective(x, Q, output(y))
    assert bool((near > 0).all())
    assert bool((far > near).all())
    leaf = y.clone().requires_grad_()
    objective(x, Q, output(leaf)).sum().backward()
    assert leaf.grad is not None
    assert bool(torch.isfinite(leaf.grad).all())
    assert bool(leaf.grad.any())


def test_pixel_losses_in_the_range_of_a_recipe(picture: Any) -> None:
    x, y = pair(picture, 24)
    assert torch.allclose(OBJECTIVES["l1"](span=2.0)(x, Q, output(y)), (2 * x - 2 * y).abs().mean((1, 2, 3)))
    assert torch.allclose(OBJECTIVES["mse"](span=2.0)(x, Q, output(y)), (2 * x - 2 * y).square().mean((1, 2, 3)))


def test_ms_ssim_is_that_of_pytorch_msssim(picture: Any) -> None:
    from pytorch_msssim import ms_ssim as other  # noqa: PLC0415

    x, y = pair(picture)
    assert torch.allclose(ms_ssim(x, y), other(x, y, data_range=1.0, size_average=False), atol=1e-5)


@pytest.mark.oracle
def test_haarpsi_is_that_of_piq(picture: Any) -> None:
    piq = pytest.importorskip("piq")
    x, y = pair(picture, 97)
    assert torch.allclose(haarpsi(x, y), piq.haarpsi(x, y, reduction="none", data_range=1.0), atol=1e-4)


def test_haarpsi_of_what_has_no_detail() -> None:
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert float(haarpsi(flat, flat)) == pytest.approx(1.0, abs=1e-3)


def test_small_crops_are_refused_by_ms_ssim(picture: Any) -> None:
    x, y = pair(picture, 160)
    with pytest.raises(InputError, match="at least 161"):
        OBJECTIVES["ms_ssim"]()(x, Q, output(y))


def test_a_term_is_weighed_by_its_name() -> None:
    found = output(torch.zeros(2, 3, 4, 4), commitment=torch.tensor([1.0, 2.0]))
    assert OBJECTIVES["term"](term="commitment")(found.pixels, Q, found).tolist() == [1.0, 2.0]
    with pytest.raises(InputError, match="no term 'entropy'; it reports commitment"):
        OBJECTIVES["term"](term="entropy")(found.pixels, Q, found)


def files(folder: Path, kind: type[LPIPSAlex] | type[LPIPSVGG]) -> dict[str, str]:
    """A classifier and linear layers with random weights, as their authors save them."""
    blank = kind(network="", network_sha256="", linear="", linear_sha256="")
    layers, cuts = blank.blank()
    torch.save({f"features.{k}": t for k, t in layers.state_dict().items()} | {"classifier.x": torch.ones(1)}, folder / "net.pth")
    widths = [[m.out_channels for m in layers[:cut] if isinstance(m, torch.nn.Conv2d)][-1] for cut in cuts]
    torch.save({f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate(widths)}, folder / "lin.pth")
    sums = {name: hashlib.sha256((folder / f"{name}.pth").read_bytes()).hexdigest() for name in ("net", "lin")}
    return {
        "network": str(folder / "net.pth"),
        "network_sha256": sums["net"],
        "linear": str(folder / "lin.pth"),
        "linear_sha256": sums["lin"],
    }


class TestLPIPS:
    def test_equal_pictures_lose_nothing(self, tmp_path: Path, picture: Any) -> None:
        objective, (x, y) = LPIPSAlex(**files(tmp_path, LPIPSAlex)), pair(picture, 64)
        assert objective(x, Q, output(x)).tolist() == [0.0, 0.0]
        leaf = y.requires_grad_()
        objective(x, Q, output(leaf)).sum().backward()
        assert leaf.grad is not None
        assert bool(leaf.grad.any())

    @pytest.mark.oracle
    @pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight enum")
    @pytest.mark.parametrize(("kind", "net"), [(LPIPSAlex, "alex"), (LPIPSVGG, "vgg")])
    def test_as_the_package_lpips_has_it(self, tmp_path: Path, picture: Any, kind: Any, net: str) -> None:
        lpips = pytest.importorskip("lpips")
        settings, (x, y) = files(tmp_path, kind), pair(picture, 64)
        other = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False).eval()
        weights = torch.load(settings["network"], weights_only=True)
        mine = [t for k, t in weights.items() if k.startswith("features.")]
        for parameter, value in zip(other.net.parameters(), mine, strict=False):
            parameter.data.copy_(value)
        linear = torch.load(settings["linear"], weights_only=True)
        for i, layer in enumerate(other.lins):
            layer.model[-1].weight.data.copy_(linear[f"lin{i}.model.1.weight"])
        wanted = other(x * 2 - 1, y * 2 - 1).flatten()
        assert torch.allclose(kind(**settings)(x, Q, output(y)), wanted, rtol=1e-4)

    def test_a_file_that_the_recipe_does_not_mean_is_refused(self, tmp_path: Path, picture: Any) -> None:
        settings, (x, y) = files(tmp_path, LPIPSAlex), pair(picture, 64)
        with pytest.raises(InputError, match=f"SHA-256 {settings['network_sha256']}, not 00"):
            LPIPSAlex(**{**settings, "network_sha256": "00"})(x, Q, output(y))
        with pytest.raises(InputError, match="fetch nothing"):
            LPIPSAlex(**{**settings, "linear": "nowhere.pth"})(x, Q, output(y))
        swapped = {**settings, "network": settings["linear"], "network_sha256": settings["linear_sha256"]}
        with pytest.raises(InputError, match="does not hold that network"):
            LPIPSAlex(**swapped)(x, Q, output(y))

    def test_the_published_linear_layers_fit(self, tmp_path: Path, picture: Any) -> None:
        folder = Path(__file__).parents[3] / "shared" / "weights" / "richzhang+PerceptualSimilarity"
        if not folder.is_dir():
            pytest.skip("no public weights here")
        for kind, name in ((LPIPSAlex, "alex"), (LPIPSVGG, "vgg")):
            linear = folder / f"lpips_v0.1_{name}.pth"
            settings = {**files(tmp_path, kind), "linear": str(linear)}
            settings["linear_sha256"] = hashlib.sha256(linear.read_bytes()).hexdigest()
            x, y = pair(picture, 64)
            assert bool((kind(**settings)(x, Q, output(y)) > 0).all())
