"""Whose checkpoints an architecture takes."""

from pathlib import Path

from tokodec.codecs.dcvc_intra import DcvcIntra
from tokodec.codecs.latent import LatentCodec
from tokodec.codecs.walked import WalkedCodec
from tokodec.errors import InputError
from tokodec.pretrained.convert import dcvc
from tokodec.pretrained.convert.checkpoint import read_checkpoint
from tokodec.pretrained.convert.compressai import COMPRESSAI
from tokodec.zoo import create


def from_checkpoint(name: str, path: Path) -> WalkedCodec:
    """The model ``name`` with weights of CompressAI or DCVC, ready to be used and saved.

    Raises InputError, ModelNotFound, WeightsMismatch.
    """
    model = create(name)
    if isinstance(model, LatentCodec):
        return COMPRESSAI.take(model, read_checkpoint(path))
    if isinstance(model, DcvcIntra):
        return dcvc.take(model, read_checkpoint(path))
    families = "factorized, hyperprior, joint_ar, cheng2020 and elic (CompressAI) and dcvc_intra (DCVC)"
    raise InputError(f"{name} is no architecture of CompressAI or of DCVC; those are in the families {families}")
