"""Whole lists of keys and shapes of the authors' checkpoints: all are known, and nothing that is used is left out.

The lists lie beside the repository, in ``../shared/specs``; without them the tests are skipped. A family adds its rows to ``LISTS``.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tokodec.errors import WeightsMismatch
from tokodec.pretrained.convert import (
    ait,
    bae,
    bsqvit,
    cosmos,
    dualtoken,
    flextok,
    flux2_1d,
    fourm,
    fqgan,
    illume,
    lavit,
    mqt,
    open_magvit2,
    retok,
    seed,
    titok,
    tokenflow,
    vqgan,
)
from tokodec.pretrained.convert.names import Names, averaged
from tokodec.zoo import create

SPECS = Path(__file__).parents[3] / "shared" / "specs"
OF_TRAINING = "|".join(
    (
        r"^(loss|model_ema|scaling_layer)\.",
        r"^quantize(\.codebook_used|_|\._codebook\.|\.basis|\.group_basis)",
        r"^_vq_vae\._ema_",
        r"\.codebooks\.\d+\.(cluster_size|embed)_ema$",
        r"\.zero_k_bias$",
        r"\.position_ids$",  # of BERT, in SEED
    )
)
"""Keys of a model that are no parameters of it, or of training alone."""
UNUSED = "|".join(
    (
        r"\.(conv_out|logsigma|text_model)\.|\.logit_",
        r"\.layers\.26\.|\.post_layernorm\.|_model\.head\.",  # of SigLIP, in TokenFlow
        r"^encoder\.(norm|head)\.|^vit_proj\.",  # of EVA, in LaVIT
        r"^s1to2decoder\.(distill_mlp\.|latent_token_positional_embedding_comp$)",
    )
)
"""Keys of parameters that the authors' own code does not use to code pictures."""
RGB = "rgb_16k DiVAE vit_b_enc+unet_patched (pos_emb 14x14; released 224-448 file stores 28x28)"
MAGVIT, BAE, COSMOS = "open-magvit2-ibq-fsq-bsq", "bae-elm", "cosmos-image"
MANY = "4m-ait-lavit-illume"
FLUX2_1D = 85_369_632


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A list of keys and the model that takes it. ``published``: parameters that the authors' model has, ``unused`` of them left out.

    ``more``: lists of other files of the same model, by what is put before their keys; ``beside``: the same, of another family's lists.
    ``extra``: keys that no list has.
    """

    file: str
    variant: str
    model: str
    names_of: Callable[[Any], Names]
    published: int
    unused: int = 0
    more: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    extra: Mapping[str, list[int]] = field(default_factory=dict)


def _magvit(variant: str, model: str, published: int) -> Listed:
    return Listed(file=MAGVIT, variant=variant, model=model, names_of=open_magvit2.names_of, published=published)


def _bae(variant: str, model: str, published: int) -> Listed:
    # Twenty 1x1 convolutions beside blocks of equal width, and a head of training.
    return Listed(file=BAE, variant=variant, model=model, names_of=bae.names_of, published=published, unused=2_496_899)


def _cosmos(variant: str, model: str, published: int) -> Listed:
    return Listed(file=COSMOS, variant=variant, model=model, names_of=cosmos.names_of, published=published)


def _tokenflow(variant: str, model: str, published: int, unused: int = 0) -> Listed:
    return Listed(file="tokenflow", variant=variant, model=model, names_of=tokenflow.names_of, published=published, unused=unused)


def _of(file: str, names_of: Callable[[Any], Names]) -> Callable[[str, str, int], Listed]:
    def row(variant: str, model: str, published: int) -> Listed:
        return Listed(file=file, variant=variant, model=model, names_of=names_of, published=published)

    return row


def _dualtoken(variant: str, published: int) -> Listed:
    # SigLIP's text tower, the scale and the shift of its loss, and a row of each codebook that no id stands for.
    unused, rows = 707_782_896 + 2, 2 * 32
    name = f"dualtoken_{variant}"
    return Listed(
        file="dualtoken",
        variant=f"model_config_siglip_{variant}",
        model=name,
        names_of=dualtoken.names_of,
        published=published - rows,
        unused=unused,
    )


_vqgan, _ibq = _of("vqgan", vqgan.names_of), _of(MAGVIT, vqgan.names_of)
_fqgan = _of("fqgan", fqgan.names_of)
_bsqvit, _fourm = _of(MAGVIT, lambda _: bsqvit.NAMES), _of(MANY, fourm.names_of)
_ait = _of(MANY, lambda _: ait.NAMES)
_seed = _of("seed", lambda _: seed.NAMES)  # numbers of places are no parameters
_illume = _of(MANY, illume.names_of)
_proxy, _titok = _of("titok", titok.proxy_names), _of("titok", lambda _: titok.NAMES)
LAVIT = "lavit encoder part (encoder.* = eva_vitg_psz14.bin keys, rest = tokenizer_encoder.bin)"


def _lavit(decoder: str, model: str, parameters: int) -> Listed:
    encoder = 1_012_588_928 + 3_227_490 + 398_267_392 + 524_288 + 2_028_960 + 5_771_264
    # The tower's last normalisation and head, and the way into one language model.
    unused = 2 * 1408 + 1024 * 1409 + 5_771_264
    names = lavit.NAMES
    more = {"decoder.": f"lavit {decoder} tokenizer_decoder.bin"}
    return Listed(file=MANY, variant=LAVIT, model=model, names_of=lambda _: names, published=encoder + parameters, unused=unused, more=more)


def _retok(variant: str, model: str, published: int, width: int) -> Listed:
    # Positions of a tail that the decoder does not read, and a head that tells DINOv2's features.
    head = 4 * width * (width + 1) + 4 * width * (4 * width + 1) + 768 * (4 * width + 1)
    unused = 224 * width + head
    return Listed(file="retok", variant=variant, model=model, names_of=lambda _: retok.NAMES, published=published, unused=unused)


def _flextok(variant: str, towers: int, model: str = "") -> Listed:
    # The KL autoencoder is listed elsewhere, and there without the two 1x1 convolutions beside it.
    names = flextok.NAMES
    mixes = {f"vae.vae.{name}.weight": [z, z, 1, 1] for name, z in (("quant_conv", 32), ("post_quant_conv", 16))}
    return Listed(
        file="flextok",
        variant=f"flextok_{variant} (reconstructed config, no VAE)",
        model=model or f"flextok_{variant}",
        names_of=lambda _: names,
        published=towers + 83_819_683 + 32 * 33 + 16 * 17,
        beside={"vae.vae.": ("sd-vae-dcae-taesd", "flux/sd3 style 16ch (diffusers)")},
        extra=mixes | {key.replace("weight", "bias"): shape[:1] for key, shape in mixes.items()},
    )


LISTS = (
    _vqgan("VQ-16", "llamagen_vq16", 71_883_403),
    _vqgan("VQ-8", "llamagen_vq8", 70_109_835),
    _vqgan("vqgan_imagenet_f16_1024", "vqgan_f16_1024", 72_141_699),
    _vqgan("vqgan_imagenet_f16_16384", "vqgan_f16_16384", 76_073_859),
    _vqgan("vq_f8_16384", "vqgan_f8_16384", 67_717_295),
    _vqgan("vq_f8_n256", "vqgan_f8_256", 67_717_295 - (16384 - 256) * 4),
    *(_ibq(f"ibq_{size}", f"ibq_{size}", 46_752_256 + 59_903_875 + 2 * 65_792 + 256 * size) for size in (1024, 8192, 16384, 262144)),
    _bsqvit("bsqvit_b18", "bsqvit_b18", 174_816_210),
    _bsqvit("bsqvit_b18_g9", "bsqvit_b18_g9", 174_816_210),
    _bsqvit("bsqvit_b36", "bsqvit_b36", 174_843_876),
    _fourm(RGB, "fourm_rgb_16k", 90_519_552 + 24_608 + 196_350_256 + 524_288),
    _fourm("rgb ViTB-ViTB_1k VQVAE", "fourm_rgb_1k", 181_089_056 + 32 * 1024),
    _fourm("CLIP-B16_8k VQVAE (512 channel feature map, patch_proj False)", "fourm_clip_b16_8k", 180_695_584 + 32 * 8192),
    _fourm("semseg_4k VQVAE (n_channels assumed 64, n_labels assumed 134)", "fourm_semseg_4k", 218_879_904 + 32 * 4096),
    _fourm("DINOv2-B14-global_8k_16 memcodes VQVAE (num_codebooks 16)", "fourm_dinov2_b14_global_8k_16", 115_042_048),
    _ait("ait_depth", "ait_depth", 7_689_201 + 128 * 512),
    _lavit("lowres", "lavit_low", 404_081_792),
    _lavit("highres", "lavit_high", 414_002_304),
    # Frozen codebooks, which the authors do not count as parameters.
    _illume("illume+ dualvitok_fix256", "illume_256", 1_345_978_979 + 32 * (32_768 + 98_304)),
    _ait("ait_insseg", "ait_insseg", 1_985_393 + 128 * 512),
    _dualtoken("256_rvq4", 1_347_975_573),
    _dualtoken("384_rvq8", 1_348_313_109),
    _magvit("openmagvit2_256L", "open_magvit2_256", 49_751_442 + 65_376_387),
    _magvit("openmagvit2_256L", "open_magvit2_262144", 49_751_442 + 65_376_387),
    _magvit("openmagvit2_128L", "open_magvit2_128", 48_422_162 + 63_599_491),
    _magvit("openmagvit2_pretrain_16384", "open_magvit2_16384", 49_749_390 + 65_344_643),
    _bae("bae_16", "bae_16", 65_526_550),
    _bae("bae_16", "bae_16_deter", 65_526_550),
    _bae("bae_20", "bae_20", 65_528_602),
    _bae("bae_24", "bae_24", 65_530_654),
    _cosmos("DI8x8", "cosmos_di_8x8", 79_004_342),
    _cosmos("DI16x16", "cosmos_di_16x16", 83_723_958),
    _fqgan("fqgan_dual_VQ-16", "fqgan_dual_f16", 150_410_131),
    _fqgan("fqgan_dual_VQ-8", "fqgan_dual_f8", 150_209_427),
    _fqgan("fqgan_triple_VQ-16", "fqgan_triple_f16", 159_295_515),
    _fqgan("fqgan_triple_VQ-8", "fqgan_triple_f8", 159_586_331),
    _of("titok", titok.maskgit_names)("maskgit-vqgan-imagenet-f16-256", "maskgit_vqgan", 54_515_587),
    _proxy("titok_l32", "titok_l32", 641_054_735),
    _proxy("titok_b64", "titok_b64", 204_814_095),
    _proxy("titok_s128", "titok_s128", 83_674_639),
    _titok("titok_bl64_vq8k", "titok_bl64_vq8k", 390_016_148),
    _titok("titok_bl128_vq8k", "titok_bl128_vq8k", 390_179_988),
    _titok("titok_sl256_vq8k", "titok_sl256_vq8k", 330_260_884),
    _titok("titok_ll32_vae_c16", "titok_ll32_vae_c16", 606_879_604),
    _titok("titok_bl64_vae_c16", "titok_bl64_vae_c16", 389_418_100),
    _titok("titok_bl128_vae_c16", "titok_bl128_vae_c16", 389_581_940),
    *(
        _of("one-d-piece", titok.proxy_names)(f"one-d-piece_{name}", f"one_d_piece_{name}", published)
        for name, published in (("s256", 83_871_247), ("b256", 205_256_463), ("l256", 641_742_863))
    ),
    _flextok("d12_d12", 85_382_406 + 172_448_320),
    _flextok("d18_d18", 287_326_086 + 578_587_456),
    _flextok("d18_d28", 287_326_086 + 2_169_735_744),
    _flextok("d18_d28", 287_326_086 + 2_169_735_744, "flextok_d18_d28_dfn"),
    *(
        _of("flux2-1d-tokenizer", lambda _: flux2_1d.NAMES)("base/sharp.safetensors (TokenizerCore)", f"flux2_1d_{decoder}", FLUX2_1D)
        for decoder in ("base", "sharp")
    ),
    _retok("VQ_SB256", "retok_sb256", 232_686_347, 768),
    _retok("VQ_SS256", "retok_ss256", 136_302_603, 512),
    _of("mqt", lambda _: mqt.NAMES)("mm_projector (Resampler, 7B)", "mqt_llava_7b", 8_923_136),
    _seed("seed-tokenizer-2 (use_qformer_image=False)", "seed_2", 1_149_999_040 - 512),
    _seed("seed-tokenizer-2 (use_qformer_image=True)", "seed_2_asking", 1_248_744_128 - 2 * 512),
    _tokenflow("tokenflow_clipb", "tokenflow_clipb_224", 181_902_251),
    _tokenflow("tokenflow_clipb_enh", "tokenflow_clipb_256", 376_569_643),
    # The last layer of SigLIP, its last normalisation and its pooling.
    _tokenflow("tokenflow_siglip", "tokenflow_siglip_384", 554_009_963, unused=30_480_160),
)
ONE_EACH = tuple({listed.file: listed for listed in LISTS}.values())
listed_models = pytest.mark.parametrize("listed", LISTS, ids=lambda listed: listed.model)
listed_families = pytest.mark.parametrize("listed", ONE_EACH, ids=lambda listed: listed.file)


@cache
def _lists(file: str) -> Mapping[str, Mapping[str, list[int]]]:
    path = SPECS / f"{file}.keys.json"
    if not path.is_file():
        pytest.skip(f"lists of keys are not here ({path.name})")
    return json.loads(path.read_text(encoding="utf-8"))


def checkpoint(listed: Listed, values: Callable[[str], float] = lambda _: 0.0) -> dict[str, Tensor]:
    """Tensors of one value each under all keys of a list, which take no memory."""
    lists = _lists(listed.file)
    variants = {prefix: lists[variant] for prefix, variant in {"": listed.variant, **listed.more}.items()}
    variants |= {prefix: _lists(file)[variant] for prefix, (file, variant) in listed.beside.items()}
    keys = {prefix + key: shape for prefix, variant in variants.items() for key, shape in variant.items()} | dict(listed.extra)
    return {key: torch.tensor(values(key)).expand(shape) for key, shape in keys.items()}


def bare(listed: Listed) -> nn.Module:
    """The model without numbers."""
    with torch.device("meta"):
        return create(listed.model)


@listed_models
def test_every_key_is_known(listed: Listed) -> None:
    model, theirs = bare(listed), checkpoint(listed)
    found = listed.names_of(model).apply(model, theirs)
    assert {name: t.shape for name, t in found.items()} == {name: p.shape for name, p in model.named_parameters()}


@listed_models
def test_only_what_is_unused_is_left_out(listed: Listed) -> None:
    """Of training there is more in a file: losses, averages, and what does not start with the prefix."""
    model, theirs = bare(listed), checkpoint(listed)
    names = listed.names_of(model)
    own = {key.removeprefix(names.prefix): t for key, t in theirs.items() if key.startswith(names.prefix)}
    left_out = [key for key in own if any(re.search(pattern, key) for pattern in names.ignored)]
    of_the_model = [key for key in left_out if not re.search(OF_TRAINING, key)]
    assert sum(own[key].numel() for key in of_the_model) == listed.unused
    assert sum(p.numel() for p in model.parameters()) == listed.published - listed.unused
    assert all(re.search(UNUSED, key) for key in of_the_model)


@listed_families
@pytest.mark.parametrize("change", ["missing", "unexpected", "is"])
def test_a_list_that_differs_is_refused(listed: Listed, change: str) -> None:
    model, theirs = bare(listed), checkpoint(listed)
    ignored = listed.names_of(model).ignored
    used = [key for key in theirs if not any(re.search(pattern, key) for pattern in ignored)]
    key = next(key for key in used if key.endswith("weight") and theirs[key].ndim > 1)
    if change == "missing":
        del theirs[key]
    elif change == "unexpected":
        theirs[key.replace("weight", "more")] = torch.zeros(1)
    else:
        theirs[key] = torch.zeros(7)
    with pytest.raises(WeightsMismatch, match=change):
        listed.names_of(model).apply(model, theirs)


def test_the_average_of_every_weight_is_found() -> None:
    listed = next(row for row in LISTS if row.model == "open_magvit2_256")
    model = bare(listed)
    theirs = checkpoint(listed, lambda key: float(key.startswith("model_ema.")))
    found = open_magvit2.names_of(model).apply(model, averaged(theirs))
    assert {float(t.flatten()[0]) for t in found.values()} == {1.0}
