"""The image codecs of DCVC: against committed results of its own code, and what they do that no other codec does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import dcvc_cases
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tokodec.codecs.dcvc_intra import DcvcIntra
from tokodec.entropy.part import Part
from tokodec.entropy.rated import RatedLearner
from tokodec.entropy.rounding import Noise, Rounding
from tokodec.errors import CorruptFile, WeightsMismatch
from tokodec.nn.ycbcr import rgb_of
from tokodec.pretrained import store
from tokodec.pretrained.convert.dcvc import take
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.zoo import create

RECORDED: Mapping[str, Any] = json.loads(dcvc_cases.FILE.read_text(encoding="utf-8"))
PARAMETERS = {"dcvc_uf_intra": 42_179_328, "dcvc_rt_intra": 45_651_314}
KMACS = {"dcvc_uf_intra": 454.4, "dcvc_rt_intra": 486.4}
WIDTHS = {"N": dcvc_cases.N, "M": dcvc_cases.M, "Z": dcvc_cases.Z, "skip": 0.0}
NAMES = list(PARAMETERS)


class Whole(Rounding):
    """Real rounding."""

    def for_decoder(self, v: Tensor) -> Tensor:
        return v.round()

    def for_rate(self, v: Tensor) -> Tensor:
        return v.round()


class Watcher(RatedLearner):
    """Notes what it is asked for: scales, means and symbols as whole lattices."""

    def __init__(self, latents: Mapping[str, Tensor], rate: Tensor) -> None:
        super().__init__(latents, Whole(), rate)
        self.seen = {name: torch.zeros(1, latents["y"][0, 0].numel(), latents["y"].shape[1]) for name in ("scales", "means", "symbols")}

    def gaussian(self, name: str, mean: Tensor, scale: Tensor, part: Part, whole: tuple[int, int]) -> Tensor:
        found = super().gaussian(name, mean, scale, part, whole)
        self.seen = {key: part.paste(self.seen[key], v) for key, v in (("scales", scale), ("means", mean), ("symbols", found - mean))}
        return found


def small(name: str) -> DcvcIntra:
    """With the weights of the recorded results."""
    model = create(name, WIDTHS)
    assert isinstance(model, DcvcIntra)
    return take(model, dcvc_cases.weights(RECORDED[name]["shapes"]))


def walked(model: DcvcIntra, rate: int) -> dict[str, Tensor]:
    x, at = dcvc_cases.picture(), torch.tensor([rate])
    with torch.no_grad():
        level = model.chosen(x, rate / 63)
        latents = model.analysed(x, level)
        watcher = Watcher(latents, at)
        y_hat = model.path(watcher, (x.shape[2] // 16, x.shape[3] // 16))
        ycbcr = model.g_s(model.unweighed(y_hat, at), at) + model.zero
        rows = {name: v.unflatten(1, y_hat.shape[2:]).permute(0, 3, 1, 2) for name, v in watcher.seen.items()}
        bits = {f"bits_{name}": v[0] for name, v in watcher.bits.items()}
        return {"y": model.analysis(x, at), "z": latents["z"], **rows, "y_hat": model.unweighed(y_hat, at), "x_hat": ycbcr, **bits}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", dcvc_cases.RATES)
def test_weights_of_dcvc_give_its_results(name: str, rate: int) -> None:
    """Recorded with ``tests/parity/dcvc_cases.py`` from microsoft/DCVC at commit 54e8864, its plain PyTorch in float32 on a processor.

    Its nets at small widths, all else as published: 6 and 12 blocks, 64 rates, latents padded for z, uneven quarters.
    """
    model, row = small(name), RECORDED[name]["rates"][str(rate)]
    found = walked(model, rate)
    for key, expected in row.items():
        ours = torch.tensor(dcvc_cases.sampled(found[key]) if found[key].ndim else float(found[key]))
        theirs = torch.tensor(expected)
        size = float(theirs.mean().abs() + (theirs.std() if theirs.ndim else 0))
        assert float((ours - theirs).abs().max()) <= 1e-4 * size, key


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_its_code_makes(name: str) -> None:
    """Symbols and pictures of the float64 walk and of real bytes, against the float32 one."""
    model = small(name)
    x = dcvc_cases.picture()
    found = walked(model, 50)
    with torch.inference_mode():
        symbols = model.symbols(x, 50 / 63)
        again = model.read(model.write(symbols), symbols.size)
        pixels = model.synthesise(again)
    assert torch.equal(symbols.values["y"], found["symbols"].round().int())
    assert torch.equal(symbols.values["z"], found["z"].round().int())
    assert again.crc32() == symbols.crc32()
    assert torch.allclose(pixels, rgb_of(found["x_hat"].clamp(0, 1)).clamp(0, 1), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_of_the_published_model(name: str) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_arithmetic_is_that_of_the_published_model(name: str) -> None:
    """Thousands of multiplications a pixel of 256x256, convolutions alone: the whole walk as training has it."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = create(name)
        assert isinstance(model, DcvcIntra)
        x, rate = torch.zeros(1, 3, 256, 256), torch.zeros(1, dtype=torch.int64)
        latents = model.analysed(x, rate)
        model.synthesised(model.path(RatedLearner(latents, Noise(), rate), (16, 16)), rate)
    assert counter.get_total_flops() / 2 / 256**2 / 1000 == pytest.approx(KMACS[name], rel=0.01)


# --- conversion


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_listed(name: str) -> None:
    checkpoint = dcvc_cases.weights(RECORDED[name]["shapes"])
    model = create(name, WIDTHS)
    assert isinstance(model, DcvcIntra)
    with pytest.raises(WeightsMismatch, match=r"missing g_s\.scale\.factor"):
        take(model, {key: t for key, t in checkpoint.items() if key != "q_scale_dec"})
    with pytest.raises(WeightsMismatch, match=r"unexpected enc\.enc_9\.weight"):
        take(model, {**checkpoint, "enc.enc_9.weight": torch.zeros(3)})
    with pytest.raises(WeightsMismatch, match=r"q_scale_enc is \(63"):
        take(model, {**checkpoint, "q_scale_enc": checkpoint["q_scale_enc"][:63]})
    other = dcvc_cases.weights(RECORDED[next(n for n in NAMES if n != name)]["shapes"])
    with pytest.raises(WeightsMismatch, match="the checkpoint does not fit"):
        take(model, other)


def test_a_checkpoint_of_training_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefix of data-parallel training, and the tables that inference adds."""
    name = "dcvc_uf_intra"
    checkpoint = {f"module.{key}": t for key, t in dcvc_cases.weights(RECORDED[name]["shapes"]).items()}
    checkpoint |= {"bit_estimator_z.quantized_cdf": torch.zeros(2, 3, dtype=torch.int32), "gaussian_encoder.cdf_length": torch.zeros(2)}
    torch.save({"epoch": 3, "net": checkpoint, "opt": {}}, tmp_path / "cvpr2026_image.pth.tar")
    monkeypatch.setattr("tokodec.pretrained.convert.origins.create", lambda n: create(n, WIDTHS))
    found = from_checkpoint(name, tmp_path / "cvpr2026_image.pth.tar")
    expected = small(name).state_dict()
    assert all(torch.equal(expected[key], t) for key, t in found.state_dict().items())


# --- rates and what is left out


@pytest.fixture(params=["dcvc_uf_intra_test", "dcvc_rt_intra_test"])
def tiny(request: pytest.FixtureRequest) -> DcvcIntra:
    model = store.load(request.param)
    assert isinstance(model, DcvcIntra)
    return model


def test_payloads_say_what_was_chosen(tiny: DcvcIntra, picture: Any) -> None:
    with torch.inference_mode():
        payloads = tiny.encode(picture(40, 50).expand(4, -1, -1, -1), quality=torch.linspace(0, 1, 4)).data
    assert [list(payload[:3]) for payload in payloads] == [[0, rate, tiny.skipped] for rate in range(4)]


def test_a_threshold_is_the_encoders_choice(tiny: DcvcIntra, picture: Any) -> None:
    """Files of any threshold are read by a model of another; the larger it is, the fewer symbols are coded."""
    x = picture(64, 96)
    sizes, coded, data = [], [], []
    chosen = tiny.skipped
    with torch.inference_mode():
        for tiny.skipped in (0, chosen, 40, 128):
            symbols = tiny.symbols(x, 1.0)
            coded.append(int((symbols.context["y"] >= tiny.skipped).sum()))
            assert not bool(symbols.values["y"][symbols.context["y"] < tiny.skipped].any())
            data.append((tiny.write(symbols), symbols.crc32()))
            sizes.append(len(data[-1][0][0]))
        tiny.skipped = chosen
        assert all(tiny.read(payloads, (64, 96)).crc32() == crc for payloads, crc in data)
    assert coded == sorted(coded, reverse=True)
    assert coded[-1] == 0
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize(("at", "value"), [(1, 4), (2, 129)])
def test_rates_and_thresholds_that_do_not_exist(tiny: DcvcIntra, picture: Any, at: int, value: int) -> None:
    with torch.inference_mode():
        (payload,) = tiny.encode(picture(20, 20), quality=0.5).data
        damaged = payload[:at] + bytes([value]) + payload[at + 1 :]
        with pytest.raises(CorruptFile, match="there is no rate"):
            tiny.read([damaged], (20, 20))
        with pytest.raises(CorruptFile, match="of 2 bytes"):
            tiny.check(payload[:2], (20, 20))
