"""The picture of the README: original, JPEG, WebP and tokodec at the same bytes.

python -m benchmarks.side_by_side PICTURE OUT.png [--bpp 0.2] [--crop X Y WIDTH HEIGHT]
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tokodec import compress, decompress
from tokodec.metrics.psnr import psnr


def main() -> None:
    """Code, crop, label, join."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bpp", type=float, default=0.2)
    parser.add_argument("--crop", type=int, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"), default=(0, 0, 300, 300))
    a = parser.parse_args()
    with Image.open(a.picture) as image:
        original = image.convert("RGB")
    data = compress(original, target_bpp=a.bpp)
    columns = [
        ("original", original, 3 * original.width * original.height),
        ("JPEG", *classical(original, "JPEG", len(data))),
        ("WebP", *classical(original, "WEBP", len(data))),
        ("tokodec", decompress(data), len(data)),
    ]
    x, y, width, height = a.crop
    sheet = Image.new("RGB", (len(columns) * (width + 8) - 8, height + 40), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (name, picture, size) in enumerate(columns):
        sheet.paste(picture.crop((x, y, x + width, y + height)), (i * (width + 8), 0))
        quality = "" if name == "original" else f", {psnr(np.asarray(original), np.asarray(picture)):.1f} dB"
        draw.text((i * (width + 8), height + 4), f"{name}: {size:,} bytes{quality}", fill="black", font=font)
    sheet.save(a.out, optimize=True)


def classical(original: Image.Image, kind: str, limit: int) -> tuple[Image.Image, int]:
    """The best quality setting of a classical codec within ``limit`` bytes, or its smallest file, and its size."""
    best = encoded(original, kind, 1)
    for quality in range(2, 96):
        data = encoded(original, kind, quality)
        if len(data) > limit:
            break
        best = data
    return Image.open(io.BytesIO(best)).convert("RGB"), len(best)


def encoded(original: Image.Image, kind: str, quality: int) -> bytes:
    """A whole file."""
    buffer = io.BytesIO()
    original.save(buffer, kind, quality=quality, optimize=True, method=6)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
