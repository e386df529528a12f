"""A teacher that was asked before: features of whole pictures on disk, cut to the window of each crop.

One safetensors file. For each training picture, by its name ``SHARD/KEY`` (both without suffix), a tensor (rows, columns, channels) of
places that cover the whole picture evenly; and under ``SHARD/KEY/class`` a vector (channels), what is said of all of it. Any floating
type.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from tokodec.data.shards import number_of
from tokodec.errors import InputError

CLASS = "/class"


class StoredTeacher(nn.Module):
    """``side`` places on a side of a crop, by bilinear interpolation between those on disk. Raises InputError for a file without any."""

    def __init__(self, file: Path, side: int) -> None:
        super().__init__()
        self.file, self.side = file, side
        with safe_open(file, "pt") as features:
            names = [name for name in features.keys() if not name.endswith(CLASS)]  # noqa: SIM118 - no mapping
            lacking = [name for name in names if name + CLASS not in set(features.keys())]
        if not names or lacking:
            raise InputError(f"{file} holds no features of pictures: a picture has SHARD/KEY and SHARD/KEY{CLASS}")
        self.names = {number_of(name): name for name in names}

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "b 3 h w"], aux: Mapping[str, Tensor]) -> Float[Tensor, "b n c"]:
        """See :class:`tokodec.losses.teacher.Teacher`. The class token is that of the whole picture."""
        found: list[Tensor] = []
        with safe_open(self.file, "pt") as features:
            for number, window in zip(aux["picture"].tolist(), aux["window"].cpu(), strict=True):
                name = self.names.get(number)
                if name is None:
                    raise InputError(f"{self.file} lacks the features of a training picture: {len(self.names)} pictures have some")
                places = features.get_tensor(name).float().permute(2, 0, 1)
                found.append(torch.cat([features.get_tensor(name + CLASS).float()[None], self._cut(places, window)]))
        return torch.stack(found).to(x.device)

    def _cut(self, places: Float[Tensor, "c h w"], window: Float[Tensor, " 5"]) -> Float[Tensor, "n c"]:
        left, top, right, bottom, mirrored = window.unbind()
        steps = (torch.arange(self.side) + 0.5) / self.side
        across, down = left + steps * (right - left), top + steps * (bottom - top)
        across = across.flip(0) if mirrored else across
        grid = torch.stack([across.expand(self.side, -1), down[:, None].expand(-1, self.side)], -1) * 2 - 1
        cut = F.grid_sample(places[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False)
        return cut[0].flatten(1).T
