"""tokodec: visual tokens and learned codecs behind one door.

Importing this module costs nothing: each name is fetched from its module when it is first used, so that listing models,
reading headers and ``--help`` never wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokodec.api import (
        Autoencoder,
        Bitstream,
        Codec,
        ContinuousTokenizer,
        DiscreteTokenizer,
        Latents,
        Output,
        Pixels,
        Sampler,
        Stream,
        Symbols,
        Tokens,
    )
    from tokodec.catalogue import ModelInfo, list_models, model_info
    from tokodec.errors import TokodecError
    from tokodec.files import compress, decompress
    from tokodec.pretrained.store import load
    from tokodec.tokenizers.shortest import shortest_prefix
    from tokodec.zoo import create

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "Bitstream",
    "Codec",
    "ContinuousTokenizer",
    "DiscreteTokenizer",
    "Latents",
    "ModelInfo",
    "Output",
    "Pixels",
    "Sampler",
    "Stream",
    "Symbols",
    "Tokens",
    "TokodecError",
    "__version__",
    "compress",
    "create",
    "decompress",
    "list_models",
    "load",
    "model_info",
    "shortest_prefix",
]

_HOMES = {
    "ModelInfo": "tokodec.catalogue",
    "TokodecError": "tokodec.errors",
    "compress": "tokodec.files",
    "create": "tokodec.zoo",
    "decompress": "tokodec.files",
    "list_models": "tokodec.catalogue",
    "load": "tokodec.pretrained.store",
    "model_info": "tokodec.catalogue",
    "shortest_prefix": "tokodec.tokenizers.shortest",
}
"""Where a name lives, unless it is one of the types of ``tokodec.api``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tokodec' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "tokodec.api")), name)


def __dir__() -> list[str]:
    return __all__
