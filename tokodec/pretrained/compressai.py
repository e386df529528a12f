"""Models of other packages, loaded through those: ``compressai/ARCHITECTURE-QUALITY`` or ``compressai/ARCHITECTURE-QUALITY-ms-ssim``."""

import hashlib
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from tokodec.checkpoint import read_checkpoint
from tokodec.codecs.compressai import CompressAICodec
from tokodec.errors import ModelNotFound, WeightsMismatch
from tokodec.storage import FINGERPRINT_BYTES

PREFIX = "compressai/"
_NAME = re.compile(r"compressai/(?P<architecture>.+)-(?P<quality>[1-8])(?:-(?P<metric>mse|ms-ssim))?")
_HASH = re.compile(r"-([0-9a-f]{8})\.")


def load_compressai(name: str) -> CompressAICodec:
    """The codec of that name. Nothing is fetched: its weights must be where torch.hub keeps them.

    Raises ModelNotFound without CompressAI, for a name that it does not have and for weights that are not here, and
    WeightsMismatch for damaged ones.
    """
    zoo = _zoo()
    match = _NAME.fullmatch(name)
    architectures = sorted(zoo.model_urls)
    if match is None or match["architecture"] not in architectures:
        raise ModelNotFound(f"no model {name!r}; say {PREFIX}NAME-QUALITY, NAME one of {', '.join(architectures)}, or NAME-QUALITY-ms-ssim")
    architecture, quality, metric = match["architecture"], int(match["quality"]), match["metric"] or "mse"
    url = zoo.model_urls[architecture].get(metric, {}).get(quality)
    if url is None:
        raise ModelNotFound(f"CompressAI has no weights of {architecture} at quality {quality} for {metric}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise ModelNotFound(
            f"the weights of {name} are not here: tokodec fetches nothing. Put {path.name} into {path.parent}, or let CompressAI do it: "
            f"compressai.zoo.image._load_model({architecture!r}, {metric!r}, {quality}, pretrained=True)"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = _HASH.search(path.name)
    if expected is not None and not digest.startswith(expected[1]):
        raise WeightsMismatch(f"{path.name} is damaged: its SHA-256 starts with {digest[:8]}")
    model = zoo.model_architectures[architecture].from_state_dict(zoo.load_pretrained(read_checkpoint(path)))
    model.update(force=True)
    codec = CompressAICodec(model)
    codec.name, codec.fingerprint = name, bytes.fromhex(digest)[:FINGERPRINT_BYTES]
    return codec


def _zoo() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from compressai.zoo import image  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  an extra
    except ImportError as error:
        raise ModelNotFound(
            f"{PREFIX}... needs CompressAI ({error}). Its package asks for numpy below 2 but runs with 2: "
            "pip install --no-deps compressai && pip install torch-geometric scipy pandas tqdm"
        ) from None
    return image
