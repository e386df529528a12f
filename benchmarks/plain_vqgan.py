"""VQGAN's encoder written with PyTorch's plain layers, as its authors have it: the peer of ``published_tokenizers.py``.

The layers are the textbook's: 1x1 convolutions, attention with its matrix of weights, ``x * sigmoid(x)``, the matrix of all distances.
Their weights are those of a model of ours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokodec.nn.vqgan import Attention, Encoder, ResidualBlock, Stage
from tokodec.quantizers.codebook import IndexBackpropagationQuantizer, VectorQuantizer
from tokodec.tokenizers.vqgan import VQGAN


def encode(model: VQGAN, x: Tensor) -> Tensor:
    """The ids of pictures in [-1, 1], (b, 3, h, w): (b, n)."""
    z = _point(model.quant_conv, _encoder(model.encoder, x))
    quantizer = model.quantizer
    assert isinstance(quantizer, VectorQuantizer)
    vectors, codes = quantizer.compared(z.permute(0, 2, 3, 1).reshape(1, -1, z.shape[1]))[0], quantizer.codes()
    if isinstance(quantizer, IndexBackpropagationQuantizer):
        return (vectors @ codes.T).argmax(1).view(len(x), -1)
    distances = vectors.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * vectors @ codes.T
    return distances.argmin(1).view(len(x), -1)


def _encoder(encoder: Encoder, x: Tensor) -> Tensor:
    h = encoder.conv_in(x)
    for stage in encoder.levels:
        assert isinstance(stage, Stage)
        for i, block in enumerate(stage.blocks):
            h = _residual(block, h)
            if stage.attention:
                h = _attention(stage.attention[i], h)
        if isinstance(stage.resize, nn.Conv2d):
            h = F.conv2d(F.pad(h, (0, 1, 0, 1)), stage.resize.weight, stage.resize.bias, stride=2)
    first, attention, second = encoder.middle
    h = _residual(second, _attention(attention, _residual(first, h)))
    return encoder.conv_out(_bent(encoder.norm_out(h)))


def _residual(block: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(block, ResidualBlock)
    h = block.conv2(_bent(block.norm2(block.conv1(_bent(block.norm1(x))))))
    return (x if isinstance(block.shortcut, nn.Identity) else _point(block.shortcut, x)) + h


def _attention(block: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(block, Attention)
    h = block.norm(x)
    b, c, height, width = h.shape
    q, k, v = (F.conv2d(h, m.weight[:, :, None, None], m.bias).reshape(b, c, -1) for m in (block.query, block.key, block.value))
    weights = torch.bmm(q.permute(0, 2, 1), k).mul(c**-0.5).softmax(2)
    seen = torch.bmm(v, weights.permute(0, 2, 1)).reshape(b, c, height, width)
    return x + F.conv2d(seen, block.out.weight[:, :, None, None], block.out.bias)


def _bent(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _point(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return F.conv2d(x, layer.weight, layer.bias)
