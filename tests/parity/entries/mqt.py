"""The entry of MQT."""

from collections.abc import Mapping
from typing import Any

from parity import reference
from parity.harness import Case, Found, filled

from tokodec.pretrained.convert import mqt
from tokodec.tokenizers.mqt import positions


def find(entry: str) -> Case | None:
    """The case of an entry."""
    return Case(run=_run, model="mqt_llava_7b") if entry == "Resampler 16x16->4096" else None


def _run(_recorded: Mapping[str, Any]) -> Found:
    model = filled("mqt_llava_7b", mqt.NAMES)
    model.positions.data.copy_(positions(16, 1024))  # not by formula
    x = reference.drawn(4, (1, 576, 1024))
    return {"pos_embed": model.positions, **{f"out_m{k}": model.pooled(x, k) for k in (256, 64, 1)}}
