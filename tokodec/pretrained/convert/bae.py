"""Checkpoints of ELM's binary autoencoders."""

from collections.abc import Mapping

from torch import Tensor, nn

from tokodec.nn.vqgan import ResidualBlock, Stage
from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.bae import BAE


def _in_order(net: nn.Module, first: tuple[str, ...]) -> list[tuple[str, nn.Module]]:
    """The parts of an encoder or decoder in the order of their work, which is how they are numbered there."""
    modules = dict(net.named_modules())
    levels = [part for name, stage in modules.items() if isinstance(stage, Stage) for part in _of_stage(name, stage)]
    middle = [(f"middle.{i}", modules[f"middle.{i}"]) for i in range(3)]
    between = [*middle, *levels] if "norm_in" in first else [*levels, *middle]
    return [*((name, modules[name]) for name in first), *between, *((name, modules[name]) for name in ("norm_out", "conv_out"))]


def _of_stage(name: str, stage: Stage) -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    for i, block in enumerate(stage.blocks):
        found.append((f"{name}.blocks.{i}", block))
        if stage.attention:
            found.append((f"{name}.attention.{i}", stage.attention[i]))
    return found + [(f"{name}.resize", stage.resize)] * isinstance(stage.resize, nn.Conv2d)


def _kind(part: str, module: nn.Module) -> str:
    """What of a part is called differently: convolutions that resize lie one deeper there."""
    return ".conv" if part.endswith("resize") and isinstance(module, nn.Conv2d) else ""


def names_of(model: BAE) -> Names:
    """Parts are numbered through; every residual block there has a 1x1 convolution, used or not."""
    renames: list[tuple[str, str]] = []
    unused: list[str] = []
    for ours, theirs, first in (("encoder", "encoder", ("conv_in",)), ("decoder", "generator", ("norm_in", "conv_in"))):
        for number, (part, module) in enumerate(_in_order(model.get_submodule(ours), first)):
            renames.append((rf"^{ours}\.{part.replace('.', chr(92) + '.')}\.", f"{theirs}.blocks.{number}{_kind(part, module)}."))
            if isinstance(module, ResidualBlock) and isinstance(module.shortcut, nn.Identity):
                unused.append(rf"^{theirs}\.blocks\.{number}\.conv_out\.")
    attention = ((r"\.query\.", ".q."), (r"\.key\.", ".k."), (r"\.value\.", ".v."), (r"(blocks\.\d+)\.out\.", r"\1.proj_out."))
    return Names(
        renames=(
            *renames,
            *attention,
            (r"\.shortcut\.", ".conv_out."),
            (r"^quant_conv\.", "quantize.proj.0."),
            (r"^quantizer\.embedding$", "quantize.embed.weight"),
        ),
        ignored=(*unused, r"^generator\.logsigma\."),
        prefix="ae.",
    )


def take(model: BAE, checkpoint: Mapping[str, Tensor]) -> BAE:
    """``model`` with the weights of a checkpoint; its discriminator and perceptual network in the file are left out."""
    return names_of(model).fill(model, checkpoint)
