"""Makes the weights of tiny models that are never trained, the same every time, and their rows of the ledger.

python -m benchmarks.untrained NAME ...    # writes pretrained/NAME.safetensors and prints rows for pretrained/ledger.toml
"""

import hashlib
import sys
from pathlib import Path

import torch

from tokodec.pretrained import store
from tokodec.zoo import create

ROW = """
[[weights]]
file = "{name}.safetensors"
sha256 = "{sha256}"
bytes = {bytes}
licence = "Apache-2.0"
training_data = "none: drawn with seed 0"
recipe = ""
machine = "any"
hours = 0.0
steps = 0
pixels = 0
commit = ""
metrics = {{}}"""


def main(names: list[str]) -> None:
    """Write each file, print each row."""
    for name in names:
        torch.manual_seed(0)
        path = Path("pretrained") / f"{name}.safetensors"
        store.save(create(name), path, name=name)
        data = path.read_bytes()
        print(ROW.format(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)))


if __name__ == "__main__":
    main(sys.argv[1:])
