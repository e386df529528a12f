"""Which entries there are: a file of recorded figures is the module of its name."""

from collections.abc import Mapping

from parity.entries import (
    bae_elm,
    cosmos_image,
    dualtoken,
    flextok,
    flux2_1d_tokenizer,
    fourm_ait_lavit_illume,
    fqgan,
    mqt,
    one_d_piece,
    open_magvit2_ibq_fsq_bsq,
    quantizers_2d,
    retok,
    seed,
    titok,
    tokenflow,
    vqgan,
)
from parity.harness import Finder

FILES: Mapping[str, Finder] = {
    "4m-ait-lavit-illume": fourm_ait_lavit_illume.find,
    "bae-elm": bae_elm.find,
    "cosmos-image": cosmos_image.find,
    "fqgan": fqgan.find,
    "dualtoken": dualtoken.find,
    "mqt": mqt.find,
    "flextok": flextok.find,
    "flux2-1d-tokenizer": flux2_1d_tokenizer.find,
    "open-magvit2-ibq-fsq-bsq": open_magvit2_ibq_fsq_bsq.find,
    "quantizers-2d": quantizers_2d.find,
    "one-d-piece": one_d_piece.find,
    "retok": retok.find,
    "seed": seed.find,
    "titok": titok.find,
    "tokenflow": tokenflow.find,
    "vqgan": vqgan.find,
}
