"""Whose checkpoints an architecture takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokodec.api import Autoencoder
from tokodec.checkpoint import read_checkpoint
from tokodec.codecs.dcvc_intra import DcvcIntra
from tokodec.codecs.latent import LatentCodec
from tokodec.errors import InputError
from tokodec.pretrained.convert import (
    ait,
    bae,
    bsqvit,
    cosmos,
    dcvc,
    dualtoken,
    flextok,
    flux2_1d,
    fourm,
    fqgan,
    illume,
    lavit,
    m3,
    mqt,
    open_magvit2,
    retok,
    seed,
    titok,
    tokenflow,
    vqgan,
)
from tokodec.pretrained.convert.compressai import COMPRESSAI
from tokodec.tokenizers.ait import AiT
from tokodec.tokenizers.bae import BAE
from tokodec.tokenizers.bsqvit import BSQViT
from tokodec.tokenizers.cosmos import CosmosDiscrete
from tokodec.tokenizers.dualtoken import DualToken
from tokodec.tokenizers.flextok import FlexTok
from tokodec.tokenizers.flux2_1d import Flux2OneD
from tokodec.tokenizers.fourm import FourMEncoder
from tokodec.tokenizers.fourm_vectors import FourMVectors
from tokodec.tokenizers.fqgan import FQGAN
from tokodec.tokenizers.illume import DualViTok
from tokodec.tokenizers.lavit import LaVIT
from tokodec.tokenizers.m3 import M3
from tokodec.tokenizers.maskgit_vqgan import MaskGitVQGAN
from tokodec.tokenizers.mqt import MQT
from tokodec.tokenizers.open_magvit2 import OpenMagvit2
from tokodec.tokenizers.retok import ReTok
from tokodec.tokenizers.seed import SEED
from tokodec.tokenizers.titok import TiTok, TiTokPixels
from tokodec.tokenizers.titok_vae import TiTokVAE
from tokodec.tokenizers.tokenflow import TokenFlow
from tokodec.tokenizers.vqgan import VQGAN
from tokodec.zoo import MODELS, create

TAKERS: Mapping[type[Autoencoder[Any]], Any] = {
    LatentCodec: COMPRESSAI.take,
    DcvcIntra: dcvc.take,
    AiT: ait.take,
    BAE: bae.take,
    CosmosDiscrete: cosmos.take,
    OpenMagvit2: open_magvit2.take,
    VQGAN: vqgan.take,
    BSQViT: bsqvit.take,
    FQGAN: fqgan.take,
    DualToken: dualtoken.take,
    FlexTok: flextok.take,
    Flux2OneD: flux2_1d.take,
    FourMEncoder: fourm.take,
    FourMVectors: fourm.take_vectors,
    TokenFlow: tokenflow.take,
    LaVIT: lavit.take,
    M3: m3.take,
    MQT: mqt.take,
    DualViTok: illume.take,
    MaskGitVQGAN: titok.take_maskgit,
    ReTok: retok.take,
    SEED: seed.take,
    TiTok: titok.take_proxy,
    TiTokPixels: titok.take,
    TiTokVAE: titok.take,
}
"""By class, what fills a model with a state dict of its authors, strictly."""


def from_checkpoint(name: str, path: Path) -> Autoencoder[Any]:
    """The model ``name`` with weights of its authors, ready to be used and saved.

    Raises InputError, ModelNotFound, WeightsMismatch.
    """
    model = create(name)
    assert isinstance(model, Autoencoder)
    take = next((take for kind, take in TAKERS.items() if isinstance(model, kind)), None)
    if take is None:
        kinds = tuple(TAKERS)
        families = sorted({entry.family for entry in MODELS.values() if issubclass(entry.build, kinds)})
        raise InputError(f"{name} has no weights elsewhere that could be converted; those of these families have: {', '.join(families)}")
    return take(model, read_checkpoint(path))
