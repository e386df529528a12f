"""What is measured: names, protocols, what is absent, numbers that JSON can hold, and measures of a whole suite."""

import hashlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tokodec.cli import main
from tokodec.errors import InputError, ModelNotFound
from tokodec.eval import deep, measures, weights
from tokodec.eval.baselines import Baseline
from tokodec.eval.contestant import Contestant
from tokodec.eval.contestants import Model
from tokodec.eval.measure import Case, FileMeasure, PictureMeasure, RowMeasure, SetMeasure
from tokodec.eval.measures import ALWAYS, MEASURES, PSNR_CEILING, absent, chosen
from tokodec.metrics.structure import Comparison


def case(height: int = 64, width: int = 80, noise: float = 20.0, contestant: Contestant | None = None, data: bytes = b"12345") -> Case:
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    decoded = (original + rng.normal(0, noise, original.shape)).clip(0, 255).astype(np.uint8)
    return Case(pictures=Comparison(original, decoded), data=data, contestant=contestant or Baseline("png"))


def row_measure(name: str) -> RowMeasure:
    measure = MEASURES[name]
    assert isinstance(measure, RowMeasure)
    return measure


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_says_what_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = MEASURES[name]
    reason = absent(name)
    if reason is not None:
        assert len(str(reason).splitlines()) == 1
        assert any(word in str(reason) for word in ("pip install", "download", "apt install", "build")), "what to do"
        return
    protocol = json.loads(json.dumps(measure.protocol()))
    assert protocol["better"] in ("higher", "lower")
    assert protocol["of"] in ("picture", "file", "set")
    assert protocol["definition"]


@pytest.mark.parametrize("name", [n for n, m in MEASURES.items() if isinstance(m, PictureMeasure)])
def test_values_move_the_way_that_is_better(name: str) -> None:
    if (reason := absent(name)) is not None:
        pytest.skip(str(reason))
    worse, better = (row_measure(name)(case(176, 176, noise)) for noise in (60.0, 6.0))
    assert worse is not None
    assert better is not None
    assert (better > worse) == (MEASURES[name].better == "higher")


def test_a_picture_that_is_too_small_has_no_value() -> None:
    assert row_measure("ms_ssim")(case(160, 300)) is None
    assert row_measure("ssim")(case(10, 300)) is None


def test_equal_pictures_have_a_psnr_that_json_can_hold() -> None:
    assert row_measure("psnr")(case(noise=0)) == PSNR_CEILING
    assert MEASURES["psnr"].protocol()["ceiling"] == PSNR_CEILING


def test_a_value_that_is_none_is_none() -> None:
    assert replace(MEASURES["ssim"], compute=lambda _: float("nan"))(case()) is None  # type: ignore[call-arg, operator]


def test_names_are_chosen_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(["ssim", "psnr"], print) == ("psnr", "ssim")
    assert chosen([], print) == ALWAYS
    with pytest.raises(InputError, match="there is no measure 'vmaf'; there are psnr, "):
        chosen(["vmaf"], print)
    monkeypatch.setattr(measures, "MEASURES", {**MEASURES, "ssim": replace(MEASURES["ssim"], packages=("nowhere_at_all",))})
    told: list[str] = []
    assert "ssim" not in chosen(["all"], told.append)
    assert any(line.startswith("ssim: ") and "pip install" in line for line in told)


def fake(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    torch.save(tensors, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_absent_weights_are_told_and_others_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ModelNotFound, match=r"not run, the weights alexnet-owt-7be5be79.pth are missing: download https://\S+ to " + str(home)
    ):
        weights.ALEXNET.path()
    (home / "alexnet-owt-7be5be79.pth").write_bytes(b"something else")
    with pytest.raises(InputError, match="has the SHA-256"):
        weights.ALEXNET.path()
    assert main.run(("bench", "run", ".", "-o", "out", "--measures", "fid")) == 6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight enum")
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_that_of_the_package(net: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On weights of chance for the network, and the real ones of the linear layers, which are in the package."""
    package = pytest.importorskip("lpips")
    torch.manual_seed(0)
    theirs = package.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    slices = [layer for i in range(1, 6) for layer in getattr(theirs.net, f"slice{i}").named_children()]
    state = {f"features.{i}.{k}": v for i, layer in slices for k, v in layer.state_dict().items()}
    name = {"alex": "ALEXNET", "vgg": "VGG16"}[net]
    file = home / getattr(weights, name).names[0]
    monkeypatch.setattr(deep, name, replace(getattr(weights, name), sha256=fake(file, state)))
    deep._recipe.cache_clear()
    found = case()
    with torch.inference_mode():
        wanted = float(theirs(*(2 * u - 1 for u in found.pictures.units)))
    assert getattr(deep, f"lpips_{net}")(found.pictures) == pytest.approx(wanted, abs=1e-5)
    deep._recipe.cache_clear()


def test_real_linear_layers_of_lpips_and_dists_can_be_read() -> None:
    for weight, package in ((weights.LPIPS_ALEX, "lpips"), (weights.LPIPS_VGG, "lpips"), (weights.DISTS_HEADS, "DISTS_pytorch")):
        if importlib.util.find_spec(package) is None:
            continue
        assert all(isinstance(t, torch.Tensor) for t in deep.read_checkpoint(weight.path()).values())
    if importlib.util.find_spec("DISTS_pytorch") is not None:
        alpha, beta = deep._heads(deep.read_checkpoint(weights.DISTS_HEADS.path()))
        assert alpha.shape == beta.shape == (1475,)


def test_bits_of_a_token_model_in_three_ways() -> None:
    model = Model("vq_test", ())
    data = model.encode(case().pictures.original, None)
    found = case(contestant=model, data=data)
    raw, estimated, file = (row_measure(f"bits_{name}")(found) for name in ("raw", "estimated", "file"))
    assert file == 8 * len(data)
    ids = found.contents.codes["ids"]
    assert raw == pytest.approx(len(ids.ids) * np.log2(ids.size))
    assert estimated is not None
    assert 0 < estimated < file, "the container is not in it"


@pytest.mark.parametrize("name", ["hyperprior_vr_test", "factorized_test"])
def test_bits_of_a_codec_have_no_raw_form(name: str) -> None:
    model = Model(name, (0.5,))
    data = model.encode(case().pictures.original, model.settings[0])
    contents = model.contents(data)
    assert contents.raw_bits is None
    assert contents.codes == {}
    assert contents.estimated_bits is not None
    assert 0.5 * 8 * len(data) < contents.estimated_bits + 8 * 60 < 1.2 * 8 * len(data) + 8 * 60


def test_classical_codecs_say_nothing_of_their_bits() -> None:
    assert row_measure("bits_raw")(case()) is None
    assert row_measure("bits_estimated")(case()) is None
    assert row_measure("bits_file")(case()) == 40


def test_usage_and_perplexity_are_of_all_pictures_together() -> None:
    found = [
        {"a": np.array([[0, 3], [2, 2]]), "#a": np.array(8), "b": np.array([[1], [4]]), "#b": np.array(2)},
        {"a": np.array([[3, 5], [4, 4]]), "#a": np.array(8), "b": np.array([[0], [4]]), "#b": np.array(2)},
    ]
    usage, perplexity = MEASURES["codebook_usage"], MEASURES["codebook_perplexity"]
    assert isinstance(usage, SetMeasure)
    assert isinstance(perplexity, SetMeasure)
    assert usage.combine(found) == pytest.approx((3 / 8 + 2 / 2) / 2)
    entropy = -(2 * np.log2(2 / 12) + 6 * np.log2(6 / 12) + 4 * np.log2(4 / 12)) / 12
    assert perplexity.combine(found) == pytest.approx(np.sqrt(2**entropy * 2))
    assert usage.combine([{}]) is None
    assert perplexity.combine([{}]) is None


def test_distances_of_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "_inception", lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()))
    for name in ("fid", "kid"):
        measure = MEASURES[name]
        assert isinstance(measure, SetMeasure)
        seen = [measure.observe(case(noise=60.0)) for _ in range(3)]
        assert {k: v.shape for k, v in seen[0].items()} == {"original": (12,), "decoded": (12,)}
        assert measure.combine(seen[:1]) is None
        assert measure.combine(seen) is not None


def test_file_measures_name_a_unit() -> None:
    assert {m.unit for m in MEASURES.values() if isinstance(m, FileMeasure)} == {"bit"}
