"""Writing that stays legible, as a loss: what a recogniser sees in a picture that is coded beside what it sees in the original.

A model that was trained against a recogniser is measured with another one: with the same its figures would flatter it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tokodec.api import Output, Pixels
from tokodec.errors import InputError
from tokodec.perception.ppocr import PPOCR, ppocr, prepared

READERS: Mapping[str, Callable[[torch.device], PPOCR]] = {"ppocr_v6": ppocr}
"""Recognisers with gradients by name. A new one is a row: features, probabilities and what they write."""
Lines = Float[Tensor, "n 3 48 w"]


@dataclass(frozen=True, kw_only=True)
class Lined:
    """Pictures of any content are read as if they were lines: cut into strips of ``rows`` pixels, half a strip apart.

    ``recogniser``: a row of READERS. Of each item ``strips`` are taken, those with most contrast first: empty paper teaches nothing.
    """

    recogniser: str = "ppocr_v6"
    rows: int = 24
    strips: int = 4

    def pairs(self, x: Pixels, output: Output) -> tuple[Lines, Lines, Int[Tensor, " n"]]:
        """Strips of original and decoded as the recogniser takes them, and the item of each. Raises InputError for pictures too low."""
        assert output.pixels is not None
        if x.ndim != 4 or x.shape[2] < self.rows:
            raise InputError(f"reading needs pictures of at least {self.rows} rows, not {tuple(x.shape)}")
        originals, decoded, items = list[Tensor](), list[Tensor](), list[int]()
        for i, (one, other) in enumerate(zip(x.float(), output.pixels.float(), strict=True)):
            for top in self._tops(one):
                originals.append(one[:, top : top + self.rows])
                decoded.append(other[:, top : top + self.rows])
                items.append(i)
        return prepared(originals), prepared(decoded), torch.tensor(items, device=x.device)

    def network(self, device: torch.device) -> PPOCR:
        """The recogniser. Raises InputError for a name that nobody has, MissingExtra."""
        if self.recogniser not in READERS:
            raise InputError(f"there is no recogniser {self.recogniser!r}; there are {', '.join(READERS)}")
        return READERS[self.recogniser](device)

    def _tops(self, picture: Float[Tensor, "3 h w"]) -> list[int]:
        tops = torch.arange(0, picture.shape[1] - self.rows + 1, max(self.rows // 2, 1), device=picture.device)
        contrast = torch.stack([picture[:, top : top + self.rows].std() for top in tops.tolist()])
        return tops[contrast.topk(min(self.strips, len(tops))).indices.sort().values].tolist()


@dataclass(frozen=True, kw_only=True)
class ReadingFeatures(Lined):
    """Mean squared difference of the features before the last layer, over the mean square of the original's."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item."""
        originals, decoded, items = self.pairs(x, output)
        network = self.network(x.device)
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                wanted = network.features(originals)
            error = (network.features(decoded) - wanted).square().flatten(1).mean(1) / wanted.square().flatten(1).mean(1).clamp(min=1e-8)
        return _by_item(error, items, len(x))


@dataclass(frozen=True, kw_only=True)
class ReadingCTC(Lined):
    """CTC: how unlikely it is to read in the decoded picture what is read in the original, in nats a character."""

    def __call__(self, x: Pixels, quality: Float[Tensor, " b"], output: Output) -> Float[Tensor, " b"]:
        """The loss of each item; of strips in which nothing is read, that of reading nothing there either."""
        originals, decoded, items = self.pairs(x, output)
        network = self.network(x.device)
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                best = network(originals).argmax(-1)
            chances = network(decoded).clamp(min=1e-12).log()
            targets, lengths = _targets(best)
            places = torch.full_like(lengths, chances.shape[1])
            loss = F.ctc_loss(chances.transpose(0, 1), targets, places, lengths, reduction="none", zero_infinity=True)
        return _by_item(loss / lengths.clamp(min=1), items, len(x))


def _targets(best: Int[Tensor, "n t"]) -> tuple[Int[Tensor, " characters"], Int[Tensor, " n"]]:
    """Classes without repeats and blanks, one strip after the other, and how many each has."""
    new = torch.ones_like(best, dtype=torch.bool)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    kept = new & (best != 0)
    return best[kept], kept.sum(1)


def _by_item(values: Float[Tensor, " n"], items: Int[Tensor, " n"], count: int) -> Float[Tensor, " b"]:
    """Means over the strips of each item."""
    total = values.new_zeros(count).index_add(0, items, values)
    return total / torch.bincount(items, minlength=count)
