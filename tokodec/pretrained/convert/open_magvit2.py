"""Checkpoints of SEED-Voken's Open-MAGVIT2."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names, averaged
from tokodec.tokenizers.open_magvit2 import OpenMagvit2


def names_of(model: OpenMagvit2) -> Names:
    """Levels are counted from the finest on both sides there; ours of the decoder from the coarsest."""
    count = len(model.config.multipliers)
    mirrored = [
        pair
        for i in range(count)
        for pair in (
            (rf"^decoder\.levels\.{i}\.", f"decoder.up.{count - 1 - i}.block."),
            (rf"^decoder\.ups\.{i}\.", f"decoder.up.{count - 1 - i}.upsample.conv1."),
            (rf"^decoder\.adaptive\.{i}\.", f"decoder.adaptive_.{count - 1 - i}."),
        )
    ]
    return Names(
        renames=(
            *mirrored,
            (r"^decoder\.adaptive_\.", "decoder.adaptive."),
            (r"^encoder\.levels\.(\d+)\.", r"encoder.down.\1.block."),
            (r"^encoder\.downs\.(\d+)\.", r"encoder.down.\1.downsample."),
            (r"\.middle\.", ".mid_block."),
            (r"\.shortcut\.", ".nin_shortcut."),
        ),
        ignored=(r"^loss\.", r"^model_ema\."),
    )


def take(model: OpenMagvit2, checkpoint: Mapping[str, Tensor]) -> OpenMagvit2:
    """``model`` with the moving averages in a checkpoint, as the published figures have it."""
    return names_of(model).fill(model, averaged(checkpoint))
