"""Checkpoints of apple/ml-flextok: towers as lists of named modules, beside them the KL autoencoder as diffusers has it."""

from collections.abc import Mapping

from torch import Tensor

from tokodec.pretrained.convert.diffusers import autoencoder, with_mixes
from tokodec.pretrained.convert.names import Names
from tokodec.tokenizers.flextok import FlexTok

VAE = "vae.vae."
_MODULES = (
    (r"^encoder\.patches\.linear\.", "encoder.module_dict.enc_patch_emb.patch_proj."),
    (r"^encoder\.patches\.waves$", "encoder.module_dict.enc_posemb_module.posembs"),
    (r"^encoder\.registers$", "encoder.module_dict.enc_register_module.registers"),
    (r"^encoder\.blocks\.", "encoder.module_dict.enc_transformer.blocks."),
    (r"^encoder\.leave\.", "encoder.module_dict.enc_to_latents.proj."),
    (r"^decoder\.enter\.", "decoder.module_dict.dec_from_latents.proj."),
    (r"^decoder\.positions$", "decoder.module_dict.dec_registers_posemb_module.posembs"),
    (r"^decoder\.mask$", "decoder.module_dict.dec_nested_dropout.dropout_mask_token"),
    (r"^decoder\.nothing$", "decoder.module_dict.dec_latent_dropout.nullcond"),
    (r"^decoder\.patches\.linear\.", "decoder.module_dict.dec_noise_patch_emb.patch_proj."),
    (r"^decoder\.patches\.waves$", "decoder.module_dict.dec_patches_posemb_module.posembs"),
    (r"^decoder\.time\.rise\.", "decoder.module_dict.dec_time_embedder.mlp.0."),
    (r"^decoder\.time\.mix\.", "decoder.module_dict.dec_time_embedder.mlp.2."),
    (r"^decoder\.blocks\.", "decoder.module_dict.dec_transformer.blocks."),
    (r"^decoder\.modulation\.", "decoder.module_dict.dec_to_patches.adaLN_modulation.1."),
    (r"^decoder\.leave\.", "decoder.module_dict.dec_to_patches.proj."),
)
_BLOCKS = (
    (r"(_transformer\.blocks\.\d+)\.attention\.query\.", r"\1.attn.wq."),
    (r"(_transformer\.blocks\.\d+)\.attention\.key\.", r"\1.attn.wk."),
    (r"(_transformer\.blocks\.\d+)\.attention\.value\.", r"\1.attn.wv."),
    (r"(_transformer\.blocks\.\d+)\.attention\.out\.", r"\1.attn.proj."),
    (r"(_transformer\.blocks\.\d+)\.perceptron\.gate\.", r"\1.mlp.fc1."),
    (r"(_transformer\.blocks\.\d+)\.perceptron\.rise\.", r"\1.mlp.fc3."),
    (r"(_transformer\.blocks\.\d+)\.perceptron\.fall\.", r"\1.mlp.fc2."),
    (r"(_transformer\.blocks\.\d+)\.modulation\.", r"\1.adaLN_modulation.1."),
)
NAMES = Names(renames=(*autoencoder("vae", "decoder_vae", VAE), *_MODULES, *_BLOCKS))


def take(model: FlexTok, checkpoint: Mapping[str, Tensor]) -> FlexTok:
    """``model`` with the weights of a checkpoint. Raises WeightsMismatch."""
    return NAMES.fill(model, with_mixes(checkpoint, VAE, model.config.channels))
