"""Checkpoints of taming-transformers and latent-diffusion, of LlamaGen, and of SEED-Voken's IBQ."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.names import Names, averaged
from tokodec.tokenizers.vqgan import IBQ, VQGAN, LlamaGen

BLOCKS = (
    (r"\.blocks\.(\d+)\.", r".block.\1."),
    (r"\.attention\.(\d+)\.", r".attn.\1."),
    (r"\.shortcut\.", ".nin_shortcut."),
    (r"\.query\.", ".q."),
    (r"\.key\.", ".k."),
    (r"\.value\.", ".v."),
    (r"\.out\.(weight|bias)$", r".proj_out.\1"),
    (r"^quantizer\.codebook$", "quantize.embedding.weight"),
)
"""Inside levels, as in taming-transformers."""

_MIDDLE = ((r"\.middle\.0\.", ".mid.block_1."), (r"\.middle\.1\.", ".mid.attn_1."), (r"\.middle\.2\.", ".mid.block_2."))


def levels(count: int) -> tuple[tuple[str, str], ...]:
    """Levels as taming-transformers counts them: the finest is 0 on both sides."""
    return (
        *((rf"^decoder\.levels\.{i}\.", f"decoder.up.{count - 1 - i}.") for i in range(count)),
        (r"^encoder\.levels\.", "encoder.down."),
        (r"^(encoder\..*)\.resize\.", r"\1.downsample.conv."),
        (r"^(decoder\..*)\.resize\.", r"\1.upsample.conv."),
    )


LLAMAGEN = Names(
    renames=(
        (r"\.levels\.", ".conv_blocks."),
        (r"^(encoder\..*)\.resize\.", r"\1.downsample.conv."),
        (r"^(decoder\..*)\.resize\.", r"\1.upsample.conv."),
        (r"\.middle\.", ".mid."),
        *BLOCKS,
        (r"\.block\.", ".res."),
    ),
    ignored=(r"^quantize\.codebook_used$",),
)


def taming(count: int) -> Names:
    """With ``count`` levels."""
    return Names(renames=(*levels(count), *_MIDDLE, *BLOCKS), ignored=(r"^loss\.", r"^model_ema\."))


def names_of(model: VQGAN) -> Names:
    """The names that the authors of that model gave."""
    return LLAMAGEN if isinstance(model, LlamaGen) else taming(len(model.config.multipliers))


def take(model: VQGAN, checkpoint: Mapping[str, Tensor]) -> VQGAN:
    """``model`` with the weights of a checkpoint of its authors; of IBQ the moving averages, as published figures have it."""
    return names_of(model).fill(model, averaged(checkpoint) if isinstance(model, IBQ) else checkpoint)
