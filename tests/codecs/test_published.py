"""The published codecs against CompressAI: against its committed results always, against itself where it is installed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from parity import compressai_cases
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tokodec.checkpoint import read_checkpoint
from tokodec.codecs.latent import LatentCodec
from tokodec.entropy.roles import Learner
from tokodec.entropy.rounding import Rounding
from tokodec.errors import InputError, WeightsMismatch
from tokodec.nn.gdn import GDN
from tokodec.pretrained import store
from tokodec.pretrained.convert.compressai import COMPRESSAI
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.zoo import create

RECORDED: Mapping[str, Any] = json.loads(compressai_cases.FILE.read_text(encoding="utf-8"))

OURS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "factorized": ("factorized_test", {"N": 8, "M": 12}),
    "hyperprior": ("hyperprior_test", {"N": 8, "M": 12}),
    "mean_scale": ("mean_scale_test", {"N": 8, "M": 12}),
    "joint_ar": ("joint_ar_test", {"N": 8, "M": 12}),
    "cheng2020_anchor": ("cheng2020_anchor_128", {"N": 8}),
    "cheng2020_attn": ("cheng2020_attn_test", {"N": 8}),
    "cheng2020_checkerboard": ("cheng2020_checkerboard_test", {"N": 8}),
    "elic": ("elic_test", {"N": 8, "groups": (4, 4, 8), "context": (224, 128)}),
    "elic_chandelier": ("elic_chandelier_test", {"N": 8, "groups": (2, 2, 4, 8), "context": (224, 128)}),
}
PARAMETERS = {
    "factorized_128": 2_998_147,
    "factorized_192": 7_030_531,
    "hyperprior_128": 5_075_843,
    "hyperprior_192": 11_816_323,
    "mean_scale_128": 7_028_003,
    "mean_scale_192": 17_561_699,
    "joint_ar_m192": 14_130_467,
    "joint_ar_m320": 25_504_596,
    "cheng2020_anchor_128": 11_833_149,
    "cheng2020_anchor_192": 26_598_956,
    "cheng2020_attn_128": 13_183_293,
    "cheng2020_attn_192": 29_631_788,
    "cheng2020_checkerboard_192": 26_598_956,
    "elic": 32_074_200,
    "elic_chandelier": 33_792_771,
}
KMACS = {
    "factorized_128": 73.6,
    "hyperprior_128": 76.3,
    "hyperprior_192": 169.8,
    "mean_scale_128": 80.4,
    "mean_scale_192": 181.4,
    "joint_ar_m320": 212.4,
    "joint_ar_m192": 177.5,  # ours, for the cards, as those of the next three
    "factorized_192": 163.2,
    "cheng2020_attn_128": 460.5,
    "cheng2020_checkerboard_128": 420.8,
    "cheng2020_anchor_128": 415.9,
    "cheng2020_anchor_192": 932.4,
    "cheng2020_attn_192": 1032.8,
    "cheng2020_checkerboard_192": 943.6,
    "elic": 585.9,
    "elic_chandelier": 598.1,
}


class Whole(Rounding):
    """Real rounding, as CompressAI's forward pass does it when it does not train."""

    def for_decoder(self, v: Tensor) -> Tensor:
        return v.round()

    def for_rate(self, v: Tensor) -> Tensor:
        return v.round()


@pytest.fixture(params=OURS)
def recorded(request: pytest.FixtureRequest) -> tuple[LatentCodec, Mapping[str, Any]]:
    name, overrides = OURS[request.param]
    row = RECORDED[request.param]
    model = create(name, overrides)
    assert isinstance(model, LatentCodec)
    return COMPRESSAI.take(model, compressai_cases.weights(row["shapes"], row["scale_rows"])), row


def agree(ours: tuple[Mapping[str, float], Tensor, Tensor, Tensor, int], row: Mapping[str, Any], *, pixels: float) -> None:
    """Likelihoods, forward pass, latents but for near-ties, decoded picture, and bytes.

    Random weights make many escapes, which cost more in CompressAI's coder than in ours, and each of its streams has a state of
    8 bytes: ours may be shorter. That what is written decodes is asserted elsewhere.
    """
    bits, forward, y_hat, decoded, size = ours
    assert bits == pytest.approx(row["bits"], rel=1e-4)
    expected = [torch.as_tensor(row[key]) for key in ("forward", "y_hat", "pixels")]
    assert torch.allclose(forward, expected[0], rtol=1e-4, atol=pixels * float(expected[0].abs().max()))
    wrong = (y_hat - expected[1]).abs() > 1e-3
    assert float(wrong.float().mean()) <= 1e-4, f"{int(wrong.sum())} latents differ by a step"
    assert float((decoded - expected[2]).abs().max()) <= max(pixels, float(wrong.any()))
    assert size <= 1.001 * row["bytes"] + 8


def results(model: LatentCodec, x: Tensor) -> tuple[Mapping[str, float], Tensor, Tensor, Tensor, int]:
    with torch.no_grad():
        role = Learner(model.latents(x), Whole())
        forward = model.g_s(model.path(role, (x.shape[2] // 16, x.shape[3] // 16)))
    with torch.inference_mode():
        symbols = model.symbols(x)
        (payload,) = model.write(symbols)
        again = model.read([payload], symbols.size)
        assert again.crc32() == symbols.crc32()
        bits = {name: float(v) for name, v in role.bits.items()}
        return bits, forward, symbols.context["y_hat"], model.synthesise(again), len(payload)


def test_weights_of_compressai_give_its_results(recorded: tuple[LatentCodec, Mapping[str, Any]]) -> None:
    model, row = recorded
    bits, forward, y_hat, decoded, size = results(model, compressai_cases.picture(128, 192))
    samples = [torch.tensor(compressai_cases.sampled(t)) for t in (forward, y_hat, decoded)]
    agree((bits, *samples, size), row, pixels=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("name", compressai_cases.FULL)
def test_compressai_itself_agrees(name: str) -> None:
    pytest.importorskip("compressai", reason="compressai is not installed")
    reference, shapes, rows = compressai_cases.reference(*compressai_cases.FULL[name])
    x = compressai_cases.picture(256, 384)
    model = create(name)
    assert isinstance(model, LatentCodec)
    agree(results(COMPRESSAI.take(model, compressai_cases.weights(shapes, rows)), x), compressai_cases.results(reference, x), pixels=1e-4)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_the_published_model(name: str) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", KMACS)
def test_arithmetic_is_that_of_the_published_model(name: str) -> None:
    assert kmacs(name) == pytest.approx(KMACS[name], rel=0.01)


def kmacs(name: str) -> float:
    """Thousands of multiplications a pixel of 256x256, convolutions and linear layers without GDN, contexts as if computed at all places.

    Two-pass contexts and their aggregations are counted twice, as in CompressAI's forward pass.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = create(name).eval()
        x = torch.zeros(1, 3, 256, 256)
        y = model.g_a(x)
        model.g_s(y)
        if hasattr(model, "h_a"):
            model.path.h_s(model.h_a(y))
    total = counter.get_total_flops() / 2 - 2 * _gdn(model.g_a, x)
    conditional = getattr(model.path, "conditional", None)
    for part, module in conditional.named_modules() if conditional is not None else ():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            total += module.weight.numel() * y[0, 0].numel() * (2 if "passes" in part else 1)
    return total / x[0, 0].numel() / 1000


def _gdn(g_a: torch.nn.Module, x: Tensor) -> float:
    """What the published figures leave out."""
    channels = [m.beta.numel() for m in g_a.modules() if isinstance(m, GDN)]
    return sum(x[0, 0].numel() / 4 ** (i + 1) * c * c for i, c in enumerate(channels))


def test_old_keys_and_training_checkpoints_are_taken(tmp_path: Path) -> None:
    row = RECORDED["mean_scale"]
    weights = compressai_cases.weights(row["shapes"], row["scale_rows"])
    old = {"module." + k.replace(".matrices.", "._matrices.").replace(".biases.", "._bias"): v for k, v in weights.items()}
    old["module.gaussian_conditional._quantized_cdf"] = torch.zeros(64, 10, dtype=torch.int32)
    torch.save({"epoch": 3, "state_dict": old}, tmp_path / "old.pth.tar")
    name, overrides = OURS["mean_scale"]
    expected, found = (
        COMPRESSAI.take(create(name, overrides), w).state_dict() for w in (weights, read_checkpoint(tmp_path / "old.pth.tar"))
    )
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    with pytest.raises(WeightsMismatch, match=r"^the checkpoint does not fit: \S+ is .* which makes"):  # of another size than the entry
        from_checkpoint(name, tmp_path / "old.pth.tar")


def test_what_does_not_fit_is_listed(recorded: tuple[LatentCodec, Mapping[str, Any]]) -> None:
    model, row = recorded
    weights = compressai_cases.weights(row["shapes"], row["scale_rows"])
    lost = next(name for name in weights if name.startswith("g_a"))
    with pytest.raises(WeightsMismatch, match=r"missing g_a\..*"):
        COMPRESSAI.take(model, {name: t for name, t in weights.items() if name != lost})
    with pytest.raises(WeightsMismatch, match=r"unexpected g_a\.99\.weight"):
        COMPRESSAI.take(model, {**weights, "g_a.99.weight": torch.zeros(3)})


def test_a_converted_model_saves_and_loads_exactly(recorded: tuple[LatentCodec, Mapping[str, Any]], tmp_path: Path) -> None:
    model, _ = recorded
    name = next(ours for ours, overrides in OURS.values() if type(create(ours, overrides)) is type(model))
    store.save(model, tmp_path / "model.safetensors", name=name)
    again = store.load(f"dir:{tmp_path}")
    x = compressai_cases.picture(64, 64)
    with torch.inference_mode():
        assert list(again.encode(x).data) == list(model.encode(x).data)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04K\x01."])
def test_files_that_are_no_weights(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError):
        from_checkpoint("mean_scale_test", path)


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights elsewhere"):
        from_checkpoint("hyperprior_vr_test", tmp_path / "weights.pth")
