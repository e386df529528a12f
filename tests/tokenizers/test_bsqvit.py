"""Windows on their own, ids whatever the circumstances, and checkpoints of the authors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tokodec.errors import WeightsMismatch
from tokodec.nn.windows import stitched, windows
from tokodec.pretrained import store
from tokodec.pretrained.convert import bsqvit
from tokodec.pretrained.convert.origins import from_checkpoint
from tokodec.tokenizers.bsqvit import BSQViT
from tokodec.zoo import create

Pictures = Callable[..., Tensor]


@pytest.fixture
def tokenizer() -> BSQViT:
    model = store.load("bsqvit_test")
    assert isinstance(model, BSQViT)
    return model


def ids_of(model: BSQViT, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.encode(x).ids


def test_windows_come_back() -> None:
    x = torch.randn(2, 3, 8, 12)
    parts = windows(x, 4)
    assert torch.equal(parts[1], x[0, :, :4, 4:8])
    assert torch.equal(parts[9], x[1, :, 4:, :4])
    assert torch.equal(stitched(parts, (8, 12)), x)


def test_a_window_does_not_see_the_next(tokenizer: BSQViT, picture: Pictures) -> None:
    x = picture(32, 48)
    ids = ids_of(tokenizer, x)
    assert ids.shape == (1, 8, 12)
    assert torch.equal(ids[:, 4:, 8:], ids_of(tokenizer, x[..., 16:, 32:]))
    with torch.inference_mode():
        whole, part = tokenizer.decode(tokenizer.encode(x)), tokenizer.decode(tokenizer.encode(x[..., 16:, 32:]))
    assert torch.allclose(whole[..., 16:, 32:], part, atol=1e-6)


def test_ids_are_the_same_alone_in_a_batch_and_in_any_layout(tokenizer: BSQViT, picture: Pictures) -> None:
    x = picture(40, 56, batch=4)
    together = ids_of(tokenizer, x)
    assert torch.equal(together, torch.cat([ids_of(tokenizer, one) for one in x.split(1)]))
    assert torch.equal(together, ids_of(tokenizer, x.contiguous(memory_format=torch.channels_last)))
    torch.set_num_threads(2)
    try:
        assert torch.equal(together, ids_of(tokenizer, x))
    finally:
        torch.set_num_threads(1)


def test_bits_in_several_ids(picture: Pictures) -> None:
    model = create("bsqvit_test", {"bits": 36, "groups": 2}).eval()
    assert isinstance(model, BSQViT)
    tokens = model.encode(picture(16, 16))
    assert tokens.ids.shape == (1, 4, 4, 2)
    assert float(tokens.bits[0]) == 16 * 36


def test_of_a_checkpoint_the_average_is_taken(tmp_path: Path) -> None:
    plain, averaged = (upstream(create("bsqvit_test")) for _ in range(2))
    checkpoint: dict[str, Any] = {
        "epoch": 3,
        "state_dict": {f"module.{k}": t for k, t in plain.items()},
        "ema_state_dict": {f"module.module.{k}": t for k, t in averaged.items()},
    }
    torch.save(checkpoint, tmp_path / "both.pt")
    taken = from_checkpoint("bsqvit_test", tmp_path / "both.pt")
    assert torch.equal(taken.get_parameter("quant_embed.weight"), averaged["quant_embed.weight"])
    del checkpoint["ema_state_dict"]
    torch.save(checkpoint, tmp_path / "plain.pt")
    assert torch.equal(
        from_checkpoint("bsqvit_test", tmp_path / "plain.pt").get_parameter("quant_embed.weight"), plain["quant_embed.weight"]
    )


def test_a_checkpoint_with_more_is_refused(tmp_path: Path) -> None:
    torch.save({**upstream(create("bsqvit_test")), "discriminator.weight": torch.zeros(2)}, tmp_path / "more.pt")
    with pytest.raises(WeightsMismatch, match="unexpected discriminator"):
        from_checkpoint("bsqvit_test", tmp_path / "more.pt")


def upstream(model: torch.nn.Module) -> dict[str, Tensor]:
    found = {bsqvit.NAMES.upstream(name): p.detach().clone() for name, p in model.named_parameters()}
    return {**found, "quantize.basis": torch.zeros(18), "quantize.group_basis": torch.zeros(1)}
