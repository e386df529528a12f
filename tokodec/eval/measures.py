"""What is measured. A new measure is a row of MEASURES; tables, intervals and tests find it by its protocol."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tokodec.errors import InputError, TokodecError
from tokodec.eval import contents, deep
from tokodec.eval.measure import FileMeasure, Measure, PictureMeasure, SetMeasure
from tokodec.eval.weights import ALEXNET, DISTS_HEADS, INCEPTION, LPIPS_ALEX, LPIPS_VGG, VGG16
from tokodec.metrics import butteraugli, frechet
from tokodec.metrics.psnr import psnr
from tokodec.metrics.similarity import FILTER_MIN_SIDE, VIF_MIN_SIDE, fsim, gmsd, haarpsi, vif
from tokodec.metrics.ssimulacra import SSIMULACRA2_MIN_SIDE, ssimulacra2
from tokodec.metrics.structure import MS_SSIM_MIN_SIDE, SSIM_MIN_SIDE, Comparison

PSNR_CEILING = 100.0
"""dB that equal pictures count as: what libaom and libvpx write for them."""
ALWAYS = ("psnr", "ssim", "ms_ssim")
"""By default: of no package, so that the protocol of a run does not depend on what is installed."""
ALL = "all"


def _psnr(pictures: Comparison) -> float:
    return psnr(pictures.original, pictures.decoded)


def _ssim(pictures: Comparison) -> float:
    return pictures.ssim


def _ms_ssim(pictures: Comparison) -> float:
    return pictures.ms_ssim


def _butteraugli(name: str) -> Callable[[], Mapping[str, str]]:
    return lambda: {f"{name} sha256": butteraugli.hash_of(name)}


_LIBJXL, _DEBIAN = "butteraugli_main", "butteraugli"

MEASURES: Mapping[str, Measure] = {
    "psnr": PictureMeasure(
        compute=_psnr, unit="dB", definition="10 log10(255^2 / mse) over all samples of 8-bit RGB, at most 100", ceiling=PSNR_CEILING
    ),
    "ssim": PictureMeasure(
        compute=_ssim,
        unit="",
        definition="RGB, Gaussian 11x11 sigma 1.5, valid region, mean over channels",
        min_side=SSIM_MIN_SIDE,
    ),
    "ms_ssim": PictureMeasure(
        compute=_ms_ssim,
        unit="",
        definition="RGB, five scales, picture filled up to multiples of 16 by replication",
        min_side=MS_SSIM_MIN_SIDE,
    ),
    "haarpsi": PictureMeasure(
        compute=haarpsi, unit="", definition="piq.haarpsi of RGB in [0, 1]", packages=("piq",), min_side=FILTER_MIN_SIDE
    ),
    "fsim": PictureMeasure(
        compute=fsim, unit="", definition="piq.fsim of RGB in [0, 1], in colour (FSIMc)", packages=("piq",), min_side=FILTER_MIN_SIDE
    ),
    "gmsd": PictureMeasure(
        compute=gmsd,
        unit="",
        better="lower",
        definition="piq.gmsd of RGB in [0, 1], of luminance",
        packages=("piq",),
        min_side=FILTER_MIN_SIDE,
    ),
    "vif": PictureMeasure(
        compute=vif, unit="", definition="piq.vif_p of RGB in [0, 1], pixel domain, of luma", packages=("piq",), min_side=VIF_MIN_SIDE
    ),
    "ssimulacra2": PictureMeasure(
        compute=ssimulacra2,
        unit="",
        definition="SSIMULACRA2 2.1 by the package ssimulacra2, 100 for equal pictures",
        packages=("ssimulacra2",),
        min_side=SSIMULACRA2_MIN_SIDE,
    ),
    "butteraugli": PictureMeasure(
        compute=partial(butteraugli.distance, _LIBJXL),
        unit="",
        better="lower",
        definition="largest distance that libjxl's butteraugli_main gives for 8-bit RGB PNGs",
        tool=_butteraugli(_LIBJXL),
        min_side=butteraugli.BUTTERAUGLI_MIN_SIDE,
    ),
    "butteraugli_3norm": PictureMeasure(
        compute=partial(butteraugli.distance_3norm, _LIBJXL),
        unit="",
        better="lower",
        definition="3-norm of the distances that libjxl's butteraugli_main gives for 8-bit RGB PNGs",
        tool=_butteraugli(_LIBJXL),
        min_side=butteraugli.BUTTERAUGLI_MIN_SIDE,
    ),
    "butteraugli_2017": PictureMeasure(
        compute=partial(butteraugli.distance, _DEBIAN),
        unit="",
        better="lower",
        definition="largest distance that google/butteraugli's butteraugli of 2017 gives for 8-bit RGB PNGs",
        tool=_butteraugli(_DEBIAN),
        min_side=butteraugli.BUTTERAUGLI_MIN_SIDE,
    ),
    "lpips_alex": PictureMeasure(
        compute=deep.lpips_alex,
        unit="",
        better="lower",
        definition="LPIPS 0.1 on AlexNet, whole picture, RGB",
        weights=(ALEXNET, LPIPS_ALEX),
        min_side=deep.ALEX_MIN_SIDE,
    ),
    "lpips_vgg": PictureMeasure(
        compute=deep.lpips_vgg,
        unit="",
        better="lower",
        definition="LPIPS 0.1 on VGG-16, whole picture, RGB",
        weights=(VGG16, LPIPS_VGG),
        min_side=deep.VGG_MIN_SIDE,
    ),
    "dists": PictureMeasure(
        compute=deep.dists,
        unit="",
        better="lower",
        definition="DISTS on VGG-16, whole picture, RGB, not resized",
        weights=(VGG16, DISTS_HEADS),
        min_side=deep.VGG_MIN_SIDE,
    ),
    "fid": SetMeasure(
        kept="inception",
        observe=deep.inception_features,
        combine=deep.between(frechet.fid),
        unit="",
        better="lower",
        definition="rFID: 2048 features of FID's Inception at 299x299 (bilinear, no filter), originals against decoded pictures",
        weights=(INCEPTION,),
    ),
    "kid": SetMeasure(
        kept="inception",
        observe=deep.inception_features,
        combine=deep.between(frechet.kid),
        unit="",
        better="lower",
        definition="KID of the same features, kernel (x y / 2048 + 1)^3, unbiased over all pictures at once",
        weights=(INCEPTION,),
    ),
    "codebook_usage": SetMeasure(
        kept="ids",
        observe=contents.id_counts,
        combine=contents.usage,
        unit="",
        definition="share of the codes that occur in any picture, mean over codebooks",
    ),
    "codebook_perplexity": SetMeasure(
        kept="ids",
        observe=contents.id_counts,
        combine=contents.perplexity,
        unit="",
        definition="2 to the entropy of the frequencies of codes over all pictures, geometric mean over codebooks",
    ),
    "bits_raw": FileMeasure(
        compute=contents.raw_bits, unit="bit", better="lower", definition="sum of log2 of the vocabulary over all ids of a picture"
    ),
    "bits_estimated": FileMeasure(
        compute=contents.estimated_bits,
        unit="bit",
        better="lower",
        definition="what the entropy model says the payloads cost, without coder and container",
    ),
    "bits_file": FileMeasure(compute=contents.file_bits, unit="bit", better="lower", definition="8 times the bytes of the whole file"),
}


def absent(name: str) -> TokodecError | None:
    """Why a measure cannot be taken here, saying what to do; None if it can."""
    try:
        MEASURES[name].require()
    except TokodecError as error:
        return error
    return None


def chosen(names: Sequence[str], told: Callable[[str], None]) -> tuple[str, ...]:
    """Those names in the order of MEASURES; none: ALWAYS; ``all``: all that can be taken here, and ``told`` why others cannot.

    Raises InputError for an unknown name, and what ``require`` raises for one that was named and cannot be taken.
    """
    if not names:
        return ALWAYS
    unknown = [name for name in names if name not in {*MEASURES, ALL}]
    if unknown:
        raise InputError(f"there is no measure {unknown[0]!r}; there are {', '.join(MEASURES)}, and {ALL}")
    if ALL in names:
        reasons = {name: absent(name) for name in MEASURES}
        for name, reason in reasons.items():
            if reason is not None:
                told(f"{name}: {reason}")
        return tuple(name for name, reason in reasons.items() if reason is None)
    for name in names:
        MEASURES[name].require()
    return tuple(name for name in MEASURES if name in names)
