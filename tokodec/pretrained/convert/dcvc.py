"""Checkpoints of the image codecs of microsoft/DCVC: ``cvpr2026_image.pth.tar`` (UF) and ``cvpr2025_image.pth.tar`` (RT).

Code tables that its inference adds to a state dict are not taken over: ours are made from the same weights, with finer counts.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from tokodec.codecs.dcvc_intra import DcvcIntra
from tokodec.pretrained.convert.keys import KeyMap


def _without_window(factors: Tensor, _model: nn.Module) -> Tensor:
    """RT has (rates, channels, 1, 1)."""
    return factors.flatten(1)


def _in_blocks(weight: Tensor, _model: nn.Module) -> Tensor:
    """UF has a 1x1 convolution of an unshuffled lattice, here it is one of blocks of 2x2."""
    return weight.unflatten(1, (-1, 2, 2)).flatten(4).squeeze(-1) if weight.shape[-1] == 1 and weight.shape[1] % 4 == 0 else weight


DCVC = KeyMap(
    derived=(r"^(bit_estimator_z|gaussian_encoder)\.(quantized_cdf|cdf_length)$",),
    renames=(
        (r"^module\.", ""),
        (r"^enc\.enc_1\.", "g_a.head."),
        (r"^enc\.enc_2\.", "g_a.body."),
        (r"^q_scale_enc$", "g_a.scale.factor"),
        (r"^dec\.dec_1\.", "g_s.body."),
        (r"^dec\.dec_2\.", "g_s.tail."),
        (r"^q_scale_dec$", "g_s.scale.factor"),
        (r"^q_scale_y_enc$", "finer.factor"),
        (r"^q_scale_y_dec$", "coarser.factor"),
        (r"^hyper_enc\.(?:conv\.)?(\d)\.", r"h_a.\1."),
        (r"^hyper_dec\.(?:conv\.)?(\d)\.", r"path.h_s.0.\1."),
        (r"^y_prior_fusion\.(?:conv\.)?(\d)\.", r"path.h_s.1.\1."),
        (r"^y_spatial_prior_reduction\.", "path.conditional.reduction."),
        (r"^y_spatial_prior_adaptor_1\.", "path.conditional.enter.0."),
        (r"^y_spatial_prior_adaptor_2\.", "path.conditional.enter.1."),
        (r"^y_spatial_prior_adaptor_3\.", "path.conditional.enter.2."),
        (r"^y_spatial_prior\.(?:conv\.)?(\d)\.", r"path.conditional.body.\1."),
        (r"^bit_estimator_z\.([hba])\.(\d)$", r"path.density.\1.\2"),
        (r"^bit_estimator_z\.f1\.([hba])$", r"path.density.\1.0"),
        (r"^bit_estimator_z\.f2\.([hba])$", r"path.density.\1.1"),
        (r"^bit_estimator_z\.f3\.([hba])$", r"path.density.\1.2"),
        (r"^bit_estimator_z\.f4\.([hb])$", r"path.density.\1.3"),
        (r"\.up\.conv\.0\.", ".up."),
        (r"\.conv\.(adaptor|dc|ffn)\.", r".block.\1."),
        (r"\.dc\.0\.", ".mix_in."),
        (r"\.dc\.2\.", ".depthwise."),
        (r"\.dc\.3\.", ".mix_out."),
        (r"\.ffn\.0\.", ".widen."),
        (r"\.ffn\.2\.", ".narrow."),
    ),
    changes={
        r"\.factor$": _without_window,
        r"^path\.density\.": _without_window,
        r"^h_a\.\d\.down\.weight$": _in_blocks,
    },
)


def take(model: DcvcIntra, checkpoint: Mapping[str, Tensor]) -> DcvcIntra:
    """``model`` with the weights of a state dict of DCVC, its tables made. Raises WeightsMismatch."""
    return DCVC.take(model, _layer_by_layer(checkpoint))


def _layer_by_layer(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """UF has the layers of densities on the last axis of one tensor."""
    found: dict[str, Tensor] = {}
    for key, tensor in checkpoint.items():
        if key.endswith(("bit_estimator_z.h", "bit_estimator_z.b", "bit_estimator_z.a")) and tensor.ndim == 3:
            found |= {f"{key}.{layer}": t for layer, t in enumerate(tensor.unbind(-1))}
        else:
            found[key] = tensor
    return found
