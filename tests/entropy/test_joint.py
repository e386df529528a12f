"""Ids of several codebooks as one number and back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tokodec.entropy.joint import joined, parted

vocabularies = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(vocabularies)
def test_every_number_is_one_choice_of_ids(vocab: list[int]) -> None:
    total = int(torch.tensor(vocab).prod())
    numbers = torch.arange(total)
    ids = parted(numbers, vocab)
    assert ids.shape == (total, len(vocab))
    assert bool((ids >= 0).all())
    assert bool((ids < torch.tensor(vocab)).all())
    assert torch.equal(joined(ids, vocab), numbers)


def test_the_first_codebook_is_the_highest() -> None:
    assert int(joined(torch.tensor([1, 2, 3]), (2, 4, 5))) == (1 * 4 + 2) * 5 + 3
