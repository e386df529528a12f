"""How much the convolutions and products of matrices of our own gain over PyTorch's, at shapes of published codecs and tokenizers.

    python -m benchmarks.convolutions

One thread; CPU ms, medians of eleven rounds in turns, and the ratio with quartiles. float64: :mod:`tokodec.nn.winograd` with its kernel
kept, beside ``conv2d``. float32: ``tokodec.nn.strided.Deconv`` to a picture, beside ``conv_transpose2d``. bfloat16:
:mod:`tokodec.nn.winograd_half`, beside ``conv2d``. Linear maps and attention in float32: :mod:`tokodec.nn.onednn`, beside PyTorch's.
*Difference*: the largest, relative to the largest result.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tokodec.nn import onednn, winograd_half
from tokodec.nn.attention import attend
from tokodec.nn.precise import PreciseConv
from tokodec.nn.strided import Deconv

ROUNDS = 11
PRECISE = (
    (224, 128, 5, 32, 48),
    (128, 224, 5, 32, 48),
    (128, 384, 5, 32, 48),
    (32, 224, 5, 32, 48),
    (288, 384, 3, 32, 48),
    (480, 640, 3, 32, 48),
)
"""Channels, width, kernel, height and width of latents."""
PICTURES = (128, 192)
"""Channels at half the size."""
HALVES = ((512, 512, 16), (512, 512, 32), (512, 512, 64), (256, 512, 32), (256, 256, 64), (128, 256, 64), (128, 128, 128))
"""Channels, width, height and width of maps; the last three are not computed so in models."""
MATRICES = ((256, 768, 3072), (256, 3072, 768), (32, 768, 768))
ATTENTIONS = ((12, 1024, 64), (1, 1024, 512))


def compared(name: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor]) -> str:
    """A row."""
    a, b = ours(), theirs()
    difference = float((a - b).abs().max() / b.abs().max())
    times = np.array([[_cpu_ms(job) for job in (ours, theirs)] for _ in range(ROUNDS)])
    own, other = np.median(times, 0)
    low, ratio, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    return f"| {name} | {other:.1f} | {own:.1f} | {ratio:.1f} ({low:.1f} .. {high:.1f}) | {difference:.0e} |"


def _cpu_ms(job: Callable[[], Tensor]) -> float:
    start = time.process_time()
    job()
    return 1e3 * (time.process_time() - start)


def _of_bfloat16(channels: int, width: int, side: int) -> str:
    """A row of bfloat16."""
    x, weight = torch.randn(1, channels, side, side), torch.randn(width, channels, 3, 3) / channels**0.5 / 3
    x, half = (t.bfloat16().contiguous(memory_format=torch.channels_last) for t in (x, weight))
    kernel, bias = winograd_half.kernels(weight), torch.randn(width).bfloat16()
    name = f"bfloat16 3x3, {channels} to {width}, {side}x{side}"
    return compared(name, lambda: winograd_half.conv(x, kernel, bias), lambda: F.conv2d(x, half, bias, padding=1))


def _of_matrices(rows: int, channels: int, width: int) -> str:
    """A row of a linear map."""
    x, weight, bias = torch.randn(rows, channels), torch.randn(width, channels) / channels**0.5, torch.randn(width)
    return compared(
        f"float32 linear, {rows} rows, {channels} to {width}", lambda: onednn.linear(x, weight, bias), lambda: F.linear(x, weight, bias)
    )


def _of_attention(heads: int, places: int, channels: int) -> str:
    """A row of attention."""
    q, k, v = torch.randn(3, 1, heads, places, channels)
    name = f"float32 attention, {heads} heads of {channels}, {places} places"
    return compared(name, lambda: attend(q, k, v), lambda: F.scaled_dot_product_attention(q, k, v))


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    print("| shape | PyTorch, CPU ms | tokodec, CPU ms | ratio (quartiles) | difference |\n|---|---|---|---|---|")
    with torch.no_grad():
        for channels, width, kernel, height, across in PRECISE:
            precise, x = PreciseConv(channels, width, kernel).double(), torch.randn(1, channels, height, across).double()
            plain = lambda p=precise, x=x: F.conv2d(x, p.weight, p.bias, padding=p.padding)  # noqa: E731
            name = f"float64 {kernel}x{kernel}, {channels} to {width}, {across}x{height}"
            print(compared(name, lambda p=precise, x=x: p(x), plain), flush=True)
        for channels in PICTURES:
            deconv = Deconv(channels, 3)
            x = torch.randn(1, channels, 256, 384).contiguous(memory_format=torch.channels_last)
            plain = lambda d=deconv, x=x: F.conv_transpose2d(x, d.weight, d.bias, 2, 2, 1)  # noqa: E731
            print(compared(f"float32 transposed 5x5, {channels} to 3, 384x256", lambda d=deconv, x=x: d(x), plain), flush=True)
        for channels, width, side in HALVES:
            print(_of_bfloat16(channels, width, side), flush=True)
        for rows, channels, width in MATRICES:
            print(_of_matrices(rows, channels, width), flush=True)
        for heads, places, channels in ATTENTIONS:
            print(_of_attention(heads, places, channels), flush=True)


if __name__ == "__main__":
    main()
