"""Every quantizer: ids of each vector alone, vectors back from ids, what training reports, and what each is for."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from codebooks import spread
from hypothesis import given, settings
from hypothesis import strategies as st

from tokodec.errors import InputError
from tokodec.quantizers.base import Quantized, Quantizer
from tokodec.quantizers.bits import bits_of, number_of
from tokodec.quantizers.codebook import (
    IndexBackpropagationQuantizer,
    NormalisedVectorQuantizer,
    SimVectorQuantizer,
    VectorQuantizer,
)
from tokodec.quantizers.cosine import CosineQuantizer
from tokodec.quantizers.ema import EmaVectorQuantizer
from tokodec.quantizers.ema_residual import EmaResidualQuantizer
from tokodec.quantizers.entropy import BitEntropy, GroupEntropy, SoftEntropy
from tokodec.quantizers.factorized import FactorizedQuantizer
from tokodec.quantizers.fsq import FiniteScalarQuantizer
from tokodec.quantizers.lfq import BinaryQuantizer, BinarySphericalQuantizer, LookupFreeQuantizer
from tokodec.quantizers.memcodes import MemoryCodesQuantizer
from tokodec.quantizers.nearest import strongest
from tokodec.quantizers.residual import ResidualQuantizer
from tokodec.quantizers.shared_index import SharedIndexQuantizer
from tokodec.quantizers.split import SplitQuantizer

MAKERS: dict[str, Callable[[], Quantizer]] = {
    "plain": lambda: spread(VectorQuantizer(40, 6, SoftEntropy())),
    "normalised": lambda: spread(NormalisedVectorQuantizer(40, 6, SoftEntropy())),
    "ema": lambda: EmaVectorQuantizer(40, 6),
    "cosine": lambda: CosineQuantizer(40, 6),
    "sim": lambda: SimVectorQuantizer(40, 6, SoftEntropy()),
    "ibq": lambda: spread(IndexBackpropagationQuantizer(40, 6, SoftEntropy())),
    "fsq": lambda: FiniteScalarQuantizer((8, 5, 4)),
    "lfq": lambda: LookupFreeQuantizer(10),
    "lfq in groups": lambda: LookupFreeQuantizer(12, groups=3),
    "bsq": lambda: BinarySphericalQuantizer(18, entropy_group=9),
    "bsq of 36 bits": lambda: BinarySphericalQuantizer(36, groups=2),
    "binary": lambda: BinaryQuantizer(8, 5),
    "factorized": lambda: FactorizedQuantizer([spread(VectorQuantizer(20, 3)), spread(NormalisedVectorQuantizer(30, 3))]),
    "residual": lambda: ResidualQuantizer([spread(VectorQuantizer(20, 6)), spread(VectorQuantizer(30, 6))]),
    "ema residual": lambda: EmaResidualQuantizer(20, 6, 3),
    "split": lambda: SplitQuantizer({"deep": EmaResidualQuantizer(20, 4, 2), "shallow": spread(VectorQuantizer(30, 3))}),
    "memory codes": lambda: MemoryCodesQuantizer(16, 12, 4),
    "shared index": lambda: SharedIndexQuantizer(40, 5, 3, 0.5),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS)
def quantizer(request: pytest.FixtureRequest) -> Quantizer:
    torch.manual_seed(3)
    made = request.param()
    assert isinstance(made, Quantizer)
    return made


def several(quantizer: Quantizer) -> tuple[int, ...]:
    return () if len(quantizer.vocab) == 1 else (len(quantizer.vocab),)


@torch.no_grad()
def test_ids_have_a_place_for_each_codebook_and_its_range(quantizer: Quantizer) -> None:
    ids = quantizer.ids(torch.randn(3, 50, quantizer.dim))
    assert ids.shape == (3, 50, *several(quantizer))
    assert ids.dtype == torch.int64
    each = ids.unbind(-1) if several(quantizer) else [ids]
    for one, size in zip(each, quantizer.vocab, strict=True):
        assert 0 <= int(one.min()) <= int(one.max()) < size


@torch.no_grad()
def test_neighbours_in_the_batch_do_not_count(quantizer: Quantizer) -> None:
    z = torch.randn(4, 70, quantizer.dim)
    together = quantizer.ids(z)
    assert torch.equal(together, torch.cat([quantizer.ids(z[i : i + 1]) for i in range(4)]))
    assert torch.equal(together, quantizer.ids(z.transpose(1, 2).contiguous().transpose(1, 2)))


@torch.no_grad()
def test_what_was_looked_up_does_not_depend_on_its_neighbours(quantizer: Quantizer) -> None:
    ids = quantizer.ids(torch.randn(2, 30, quantizer.dim))
    vectors = quantizer.lookup(ids)
    assert vectors.shape[:2] == (2, 30)
    assert torch.allclose(quantizer.lookup(ids[:, 7:8]), vectors[:, 7:8], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["plain", "normalised", "sim", "lfq", "lfq in groups", "bsq", "bsq of 36 bits", "shared index"])
def test_a_code_is_its_own_nearest(name: str) -> None:
    torch.manual_seed(3)
    quantizer = MAKERS[name]()
    ids = quantizer.ids(torch.randn(1, 200, quantizer.dim))
    assert torch.equal(quantizer.ids(quantizer.lookup(ids)), ids)


def test_training_reports_terms_usage_and_perplexity_and_reaches_what_came_in(quantizer: Quantizer) -> None:
    z = torch.randn(2, 60, quantizer.dim, requires_grad=True)
    quantized = quantizer(z)
    assert quantized.vocab == quantizer.vocab
    assert all(term.shape == (2,) and bool(torch.isfinite(term).all()) for term in quantized.terms.values())
    assert 0 < quantized.usage <= 1
    assert 1 <= quantized.perplexity <= max(quantizer.vocab)
    (quantized.z.square().sum() + sum(term.sum() for term in quantized.terms.values())).backward()
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())
    assert bool(z.grad.any())


def test_training_sees_the_vectors_that_ids_stand_for() -> None:
    for name in ("plain", "normalised", "sim", "ibq", "lfq", "bsq", "residual", "ema residual", "split", "shared index"):
        quantizer = MAKERS[name]()
        with torch.no_grad():
            quantized = quantizer(torch.randn(2, 30, quantizer.dim))
            assert torch.allclose(quantized.z, quantizer.lookup(quantized.ids), atol=1e-5), name


def test_usage_and_perplexity_count() -> None:
    ids = torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]])
    quantized = Quantized(z=torch.zeros(2, 4, 1), ids=ids, vocab=(8,))
    assert quantized.usage == pytest.approx(0.5)
    assert quantized.perplexity == pytest.approx(4.0)
    two = Quantized(z=torch.zeros(2, 4, 1), ids=torch.stack([ids, torch.zeros_like(ids)], -1), vocab=(8, 2))
    assert two.usage == pytest.approx(0.5)
    assert two.perplexity == pytest.approx(2.5)


@given(st.integers(1, 63), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_bits_and_numbers_are_inverse(count: int, seed: int) -> None:
    bits = torch.rand(4, count, generator=torch.Generator().manual_seed(seed)) < 0.5
    numbers = number_of(bits)
    assert torch.equal(bits_of(numbers, count), bits)
    assert [int(n) for n in numbers] == [int("".join(str(int(b)) for b in row), 2) for row in bits]


@pytest.mark.parametrize("name", ["lfq", "lfq in groups", "bsq", "bsq of 36 bits", "binary"])
def test_all_signs_come_back(name: str) -> None:
    quantizer = MAKERS[name]()
    signs = torch.where(torch.rand(1, 500, quantizer.dim) < 0.5, -1.0, 1.0)
    with torch.no_grad():
        found = quantizer.lookup(quantizer.ids(signs))
    wanted = (signs > 0).float() @ quantizer.embedding if isinstance(quantizer, BinaryQuantizer) else signs * found.abs()
    assert torch.allclose(found, wanted, atol=1e-6)


def test_zero_is_no_bit_and_the_first_coordinate_is_lowest_or_highest() -> None:
    z = torch.tensor([[[1.0, 0.0, -1.0]]])
    assert LookupFreeQuantizer(3).ids(z).item() == 1
    assert BinarySphericalQuantizer(3).ids(z).item() == 4


def test_groups_must_divide() -> None:
    with pytest.raises(InputError, match="10 bits in 3 groups"):
        LookupFreeQuantizer(10, groups=3)
    with pytest.raises(InputError, match="at most 63"):
        BinarySphericalQuantizer(64)
    with pytest.raises(InputError, match="4 heads"):
        MemoryCodesQuantizer(16, 10, 4)


def test_entropies_of_bits_are_those_over_all_codes() -> None:
    z = torch.randn(3, 20, 6)
    codes = torch.tensor([[1.0 if i >> b & 1 else -1.0 for b in range(6)] for i in range(64)])
    wanted = SoftEntropy(temperature=0.7)(2 * z @ codes.T)
    found = BitEntropy(temperature=0.7)(z)
    grouped = GroupEntropy(size=6, temperature=0.7)(z)
    for name, term in wanted.items():
        assert torch.allclose(term, found[name], atol=1e-4)
        assert torch.allclose(term, grouped[name], atol=1e-3)


@given(st.integers(1, 120), st.integers(2, 200), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_the_strongest_is_what_all_products_say(n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z, codes = (torch.randn(m, 5, generator=generator).double() for m in (n, k))
    assert torch.equal(strongest(z, codes), (z @ codes.T).argmax(1))


def test_all_codes_learn_by_index_backpropagation_and_behind_a_matrix() -> None:
    for name in ("ibq", "sim"):
        quantizer = MAKERS[name]()
        before = quantizer.lookup(torch.arange(40)[None]).detach().clone()
        optimiser = torch.optim.SGD(quantizer.parameters(), lr=0.1)
        terms = quantizer(torch.randn(1, 3, 6)).terms  # three vectors cannot choose 40 codes
        terms.get("soft", terms["codebook"]).sum().backward()
        optimiser.step()
        moved = (quantizer.lookup(torch.arange(40)[None]) - before).abs().amax(-1)
        assert int((moved > 0).sum()) == 40, name


def test_cosine_codes_follow_and_dead_ones_revive() -> None:
    torch.manual_seed(0)
    quantizer, centres = CosineQuantizer(32, 4, revive_below=0.5), F.normalize(torch.randn(16, 4), dim=1)
    quantizer.codebook.data = F.normalize(torch.tensor([1.0, 0, 0, 0]) + 0.01 * torch.randn(32, 4), dim=1)
    z = centres.repeat(8, 8, 1)
    first = float(quantizer(z).terms["commitment"].mean())
    for _ in range(100):
        last = float(quantizer(z + 0.02 * torch.randn_like(z)).terms["commitment"].mean())
    assert last < 0.1 * first
    assert list(quantizer.state_dict()) == ["codebook"]


def test_residual_levels_come_closer() -> None:
    quantizer = MAKERS["residual"]()
    z = torch.randn(1, 300, 6)
    with torch.no_grad():
        ids = quantizer.ids(z)
        errors = [float((quantizer.lookup(ids[..., :k]) - z).square().mean()) for k in (1, 2)]
    assert errors[1] < errors[0]
    with pytest.raises(InputError, match="one dimension"):
        ResidualQuantizer([VectorQuantizer(4, 2), VectorQuantizer(4, 3)])


def test_parts_know_nothing_of_each_other() -> None:
    quantizer = MAKERS["split"]()
    assert isinstance(quantizer, SplitQuantizer)
    z = torch.randn(2, 20, 7)
    with torch.no_grad():
        quantized = quantizer(z)
        each = quantizer.named()
        divided = quantizer.divided(quantized.ids)
        assert torch.equal(divided["deep"], each["deep"].ids(z[..., :4]))
        assert torch.equal(divided["shallow"][..., 0], each["shallow"].ids(z[..., 4:]))
        assert torch.equal(quantizer.lookup(quantized.ids)[..., 4:], each["shallow"].lookup(divided["shallow"][..., 0]))
    assert quantizer.vocab == (20, 20, 30)
    assert set(quantized.terms) == {"deep_commitment", "shallow_commitment", "shallow_codebook"}


@pytest.mark.slow
def test_a_search_among_262144_codes_is_bounded() -> None:
    """Of 4,096 vectors, a picture of 1024x1024; in a process of its own, because memory once had is never given back."""
    program = """
import resource, torch
from tokodec.quantizers.nearest import nearest, strongest
torch.set_num_threads(1)
codes, z = torch.randn(262144, 18), torch.randn(4096, 18)
nearest(z[:64], codes[:4096])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
nearest(z, codes); strongest(z, codes)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert int(run.stdout) < 250  # MiB
