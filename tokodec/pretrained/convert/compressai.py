"""CompressAI's checkpoints of the published codecs.

Keys as of ``compressai/models`` 1.2 (``matrices.0``) and of older files (``_matrix0``, ``_matrices.0``, ``downsample``), with or
without ``module.`` before them. Code tables are not taken over: ours are made from the same weights, with finer counts.
"""

from torch import Tensor, nn

from tokodec.codecs.latent import LatentCodec
from tokodec.entropy.serial import Serial
from tokodec.pretrained.convert.keys import KeyMap


def _without_window(weight: Tensor, _model: nn.Module) -> Tensor:
    """A 1x1 convolution as a linear layer."""
    return weight.flatten(1) if weight.ndim == 4 else weight


def _context_first(weight: Tensor, model: nn.Module) -> Tensor:
    """Serial contexts come after hyper features there, before them here."""
    assert isinstance(model, LatentCodec)
    return weight.roll(weight.shape[1] // 2, 1) if weight.ndim > 1 and isinstance(model.path.conditional, Serial) else weight


def _scales_first(tensor: Tensor, model: nn.Module) -> Tensor:
    """One form of ELIC has means, then scales."""
    return tensor.roll(tensor.shape[0] // 2, 0) if type(model).__name__ == "ElicChandelier" else tensor


COMPRESSAI = KeyMap(
    derived=(
        r"\._(offset|quantized_cdf|cdf_length)$",
        r"entropy_bottleneck\.target$",
        r"(likelihood_lower_bound|lower_bound_scale|_reparam\.lower_bound)\.bound$",
        r"_reparam\.pedestal$",
        r"gaussian_conditional\.scale_(table|bound)$",
        r"context_prediction\.mask$",
    ),
    renames=(
        (r"^module\.", ""),
        (r"^latent_codec\.hyper\.", ""),
        (r"^entropy_bottleneck\.quantiles$", "path.density.quantiles"),
        (r"^entropy_bottleneck\._?matri(?:x|ces\.)(\d)$", r"path.density.matrices.\1"),
        (r"^entropy_bottleneck\._?bias(?:es\.)?(\d)$", r"path.density.biases.\1"),
        (r"^entropy_bottleneck\._?factor(?:s\.)?(\d)$", r"path.density.factors.\1"),
        (r"^h_s\.", "path.h_s."),
        (r"^((?:g_s|path\.h_s)\.\d+)\.0\.", r"\1."),
        (r"\.(?:downsample|upsample\.0)\.", ".skip."),
        (r"\.subpel_conv\.0\.", ".conv1."),
        (r"^(g_s\.\d+)\.conv\.", r"\1.conv2."),
        (r"\.igdn\.", ".gdn."),
        (r"\.conv_a\.", ".trunk."),
        (r"\.conv_b\.", ".gate."),
        (r"(\.(?:trunk|gate)\.\d)\.conv\.0\.", r"\1.conv1."),
        (r"(\.(?:trunk|gate)\.\d)\.conv\.2\.", r"\1.conv2."),
        (r"(\.(?:trunk|gate)\.\d)\.conv\.4\.", r"\1.conv3."),
        (r"^latent_codec\.y\.channel_context\.y(\d)\.", r"path.conditional.channel.\1."),
        (r"^latent_codec\.y\.latent_codec\.y(\d)\.", r"path.conditional.passes.\1."),
        (r"^latent_codec\.y\.", "path.conditional.passes."),
        (r"^(context_prediction|entropy_parameters)\.", r"path.conditional.\1."),
        (r"\.context_prediction\.", ".context."),
        (r"\.entropy_parameters\.0\.", ".aggregate.layers.0."),
        (r"\.entropy_parameters\.2\.", ".aggregate.layers.1."),
        (r"\.entropy_parameters\.4\.", ".aggregate.layers.2."),
    ),
    changes={
        r"\.aggregate\.layers\.\d\.weight$": _without_window,
        r"\.aggregate\.layers\.0\.weight$": _context_first,
        r"\.aggregate\.layers\.2\.(weight|bias)$": _scales_first,
    },
)
