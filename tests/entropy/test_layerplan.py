"""The plan of a file in layers: its bytes, and plans that cannot be."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tkd import GOLDEN_FILE, mutated

from tokodec.entropy.container import Kind, Segment, TkdFile, pack, salvage, unpack
from tokodec.entropy.flat import Section, length
from tokodec.entropy.layerplan import Layer, LayerPlan, lengths_of, plan_of
from tokodec.errors import CorruptFile, InputError

CRC = GOLDEN_FILE.header.symbol_crc


def planned(*ids: int) -> LayerPlan:
    return LayerPlan(layers=tuple(Layer(ids=n, crc=CRC if n == ids[-1] else n) for n in ids))


def layered(plan: bytes, payloads: int, *behind: str, before: str = "") -> TkdFile:
    kinds = [*before, "L", *"P" * payloads, *behind]
    return TkdFile(header=GOLDEN_FILE.header, segments=tuple(Segment(kind=ord(k), data=plan if k == "L" else k.encode()) for k in kinds))


@given(st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=80)
def test_a_plan_and_back_and_no_other_bytes(ids: set[int], rng: random.Random) -> None:
    plan = LayerPlan(layers=tuple(Layer(ids=n, crc=rng.randrange(2**32)) for n in sorted(ids)))
    data = plan.pack()
    assert LayerPlan.unpack(data) == plan
    assert sum(plan.counts) == max(ids)
    bad = mutated(data, rng)
    try:
        assert LayerPlan.unpack(bad).pack() == bad
    except CorruptFile:
        assert bad != data


@pytest.mark.parametrize("ids", [(), (0,), (0, 4), (4, 4), (4, 3)])
def test_plans_that_do_not_grow_are_refused(ids: tuple[int, ...]) -> None:
    with pytest.raises(CorruptFile, match="more ids"):
        LayerPlan.unpack(LayerPlan(layers=tuple(Layer(ids=n, crc=0) for n in ids)).pack())


@given(st.integers(1, 5000))
def test_layers_double_up_to_what_is_kept(most: int) -> None:
    lengths = lengths_of(most)
    assert (lengths[0], lengths[-1]) == (1, most)
    assert all(b == 2 * a for a, b in pairwise(lengths[:-1]))
    assert lengths == sorted({*lengths})


def test_so_many_layers_reach_so_many_ids() -> None:
    plan = planned(2, 4, 7)
    assert [len(plan.reaching(n).layers) for n in (1, 2, 3, 4, 5, 7, 8)] == [1, 1, 2, 2, 3, 3, 3]


def test_the_overhead_that_the_format_page_names() -> None:
    plan = LayerPlan(layers=tuple(Layer(ids=n, crc=0) for n in lengths_of(256)))
    payloads = [bytes(length([Section(count=count, size=4096)])) for count in plan.counts]
    one = replace(GOLDEN_FILE, segments=(Segment(kind=Kind.PAYLOAD, data=bytes(256 * 12 // 8)),))
    many = [Segment(kind=Kind.LAYERS, data=plan.pack()), *(Segment(kind=Kind.PAYLOAD, data=p) for p in payloads)]
    assert len(pack(replace(one, segments=tuple(many)))) - len(pack(one)) == 102


def test_a_plan_belongs_to_its_file() -> None:
    assert plan_of(GOLDEN_FILE) is None
    assert plan_of(layered(planned(2, 4).pack(), 2)) == planned(2, 4)
    for file in (layered(planned(2, 4).pack(), 1), layered(planned(2, 4).pack(), 3)):
        with pytest.raises(CorruptFile, match="layers and a plan of 2"):
            plan_of(file)
    with pytest.raises(CorruptFile, match="last layer"):
        plan_of(layered(LayerPlan(layers=(Layer(ids=2, crc=5),)).pack(), 1))
    assert plan_of(replace(layered(planned(2, 4).pack(), 1), lost="cut")) == planned(2, 4)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (layered(b"", 1, "A"), "must come first"),
        (layered(b"", 1, "i"), "must come first"),
        (layered(b"", 1, "L"), "at most one"),
        (layered(b"", 1, before="T"), "tiles and layers"),
        (
            TkdFile(header=GOLDEN_FILE.header, segments=(Segment(kind=Kind.PAYLOAD, data=b""), Segment(kind=Kind.LAYERS, data=b""))),
            "behind",
        ),
    ],
)
def test_the_order_of_segments(file: TkdFile, words: str) -> None:
    with pytest.raises(InputError, match=words):
        pack(file)


def test_only_a_file_in_layers_may_be_cut_and_only_behind_one() -> None:
    """All places at once, of files without and with something behind the layers."""
    for behind in ("", "t"):
        file = layered(planned(2, 4, 5).pack(), 3, *behind, before="Ai")
        data = pack(file)
        ends = {len(pack(replace(file, segments=file.segments[: 3 + n]))) - 5: n for n in (1, 2, 3)}
        for cut in range(len(data)):
            there = sum(end <= cut for end in ends)
            if cut in ends:
                found = unpack(data[:cut])
                assert (found.segments, bool(found.lost)) == (file.segments[: 3 + ends[cut]], True)
            else:
                with pytest.raises(CorruptFile):
                    unpack(data[:cut])
            if there:
                assert salvage(data[:cut]).segments[: 3 + there] == file.segments[: 3 + there]
            else:
                with pytest.raises(CorruptFile):
                    salvage(data[:cut])
    whole = pack(GOLDEN_FILE)
    for cut in range(len(whole)):
        for read in (unpack, salvage):
            with pytest.raises(CorruptFile):
                read(whole[:cut])


def test_what_is_left_of_a_file_is_not_packed_as_a_whole_one() -> None:
    data = pack(layered(planned(2, 4).pack(), 2))
    with pytest.raises(InputError, match="cut behind a layer"):
        pack(unpack(data[:-5]))
    assert unpack(data) == salvage(data)
