"""Pixels in and out. Nothing here imports torch but ``pixels.py``.

read.py      a file, bytes, PIL picture, array or tensor as a Picture
write.py     a Picture as a PIL picture or a file
picture.py   Picture: 8-bit sRGB, upright, with alpha, grayness and perhaps a profile beside it
pixels.py    between bytes and floats: the one place that rounds
alpha.py     what becomes of transparency, and its lossless coder
colour.py    ICC profiles, CMYK, Lab and gray to sRGB, and back into a kept profile
samples.py   what each Pillow mode means;  deep.py: 16 bits a sample
formats.py   what kind of file it is, and who opens it;  headers.py: sizes that must be known before that
foreign.py   Pillow at arm's length: no warning, no foreign exception
limits.py    how large a picture may be;  atomic.py: all of a file or nothing
"""
