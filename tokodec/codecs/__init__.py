"""The codecs, one file a family. A new family adds its name to the import and to the table."""

from tokodec.codecs import channelwise, cheng2020, dcvc_intra, elic, factorized, fourstep_vr, hyperprior, hyperprior_vr, joint_ar
from tokodec.entry import Entry, merge

MODELS: dict[str, Entry] = merge(
    channelwise.MODELS,
    cheng2020.MODELS,
    dcvc_intra.MODELS,
    elic.MODELS,
    factorized.MODELS,
    fourstep_vr.MODELS,
    hyperprior.MODELS,
    hyperprior_vr.MODELS,
    joint_ar.MODELS,
)
