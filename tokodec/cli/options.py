"""Flags that several verbs share, as frozen settings classes; ``flat`` shows them to typer one by one."""

import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from typer import Option

from tokodec.errors import InputError
from tokodec.media.limits import DEFAULT_MAX_PIXELS, physical_memory
from tokodec.rate import Quality, Rate, TargetBpp, TargetBytes

if TYPE_CHECKING:
    from tokodec.entropy.tileplan import Box, Tiling
    from tokodec.machine import Machine
    from tokodec.media.alpha import AlphaRule

_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*(k|m|g|t)?(i)?b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def flat(verb: Callable[..., int]) -> Callable[..., int]:
    """``verb`` as a function that takes every field of its settings classes as a parameter of its own."""
    hints = get_type_hints(verb, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        parameters += _parameters(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]

    @functools.wraps(verb)
    def call(**values: Any) -> int:
        settings = {name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        return verb(**values, **settings)

    del call.__wrapped__  # type: ignore[attr-defined]  # typer would look through it
    call.__signature__ = inspect.Signature(sorted(parameters, key=lambda p: p.kind))  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def _parameters(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(f.name, keyword, default=f.default, annotation=hints[f.name]) for f in fields(group)]


def parse_size(text: str) -> int:
    """Bytes of ``40k`` (40,000), ``40Ki`` (40,960), ``1.5M``, ``4G`` or a plain number. Raises InputError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is no size: write 40k, 1.5M, 4G (powers of 1000), 40Ki, 4Gi (of 1024) or a number of bytes")
    number, prefix, binary = match.groups(default="")
    return round(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.lower()])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which files of folders and lists."""

    recursive: Annotated[bool, Option("--recursive", "-r", help="Also the folders within folders; links are not followed.")] = False
    glob: Annotated[str | None, Option(metavar="PATTERN", help="Of folders, take the files whose name matches, whatever their suffix.")] = (
        None
    )
    files_from: Annotated[str | None, Option(metavar="FILE|-", help="Read more inputs from a file or stdin, one a line.")] = None
    null: Annotated[bool, Option("--null", "-0", help="Inputs of --files-from end with a NUL byte instead of a line end.")] = False


@dataclass(frozen=True, kw_only=True)
class Writing:
    """Where results go, and what may be replaced."""

    output: Annotated[str | None, Option("--output", "-o", metavar="OUT|DIR", help="A file, a folder, or - for stdout.")] = None
    force: Annotated[bool, Option("--force", "-f", help="Replace outputs that exist.")] = False
    skip_existing: Annotated[bool, Option("--skip-existing", help="Leave out inputs whose output exists.")] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Check everything, print what would be done, do nothing.")] = False


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What is said on stderr while work goes on."""

    quiet: Annotated[bool, Option("--quiet", help="Say nothing but errors.")] = False
    progress: Annotated[str, Option(metavar="auto|bar|json|none", help="Progress on stderr.")] = "auto"

    def __post_init__(self) -> None:
        if self.progress not in ("auto", "bar", "json", "none"):
            raise InputError(f"there is no progress {self.progress!r}: auto, bar, json or none")


@dataclass(frozen=True, kw_only=True)
class Running(Telling):
    """How a batch runs and what it says."""

    jobs: Annotated[int, Option("--jobs", "-j", min=1, metavar="N", help="Processes that code side by side, each with the model.")] = 1
    fail_fast: Annotated[bool, Option("--fail-fast", help="Stop at the first input that fails.")] = False
    verbose: Annotated[bool, Option("--verbose", "-v", help="Show where unexpected errors come from.")] = False
    json: Annotated[bool, Option("--json", help="Print one JSON object an input on stdout.")] = False


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Where models run and what they may take."""

    device: Annotated[str, Option(metavar="NAME", help="cpu, cuda, cuda:1 ..., or auto.")] = "cpu"
    numerics: Annotated[str, Option(metavar="stable|fast", help="Of the transforms; what decides bits is exact in both.")] = "stable"
    threads: Annotated[int | None, Option(min=1, metavar="N", help="Threads of torch; the default is its own.")] = None
    max_pixels: Annotated[str | None, Option(metavar="N", help="Refuse larger pictures; the default is 268M.")] = None
    max_memory: Annotated[
        str | None, Option(metavar="SIZE", help="Refuse pictures that need more; the default is what the machine has.")
    ] = None
    offline: Annotated[bool, Option("--offline", help="Never use the network (only models named hf:... would).")] = False

    def room(self) -> int:
        """Bytes of memory for all pictures at work. Raises InputError."""
        return physical_memory() if self.max_memory is None else parse_size(self.max_memory)

    def machine(self, workers: int = 1, tiles: int = 1) -> "Machine":
        """The machine of these settings, for one of so many processes, so many tiles at a time. Imports torch. Raises InputError."""
        if self.offline:
            os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

        import torch

        from tokodec.machine import Machine

        if self.threads or workers > 1:
            torch.set_num_threads(self.threads or 1)
        pixels = DEFAULT_MAX_PIXELS if self.max_pixels is None else parse_size(self.max_pixels)
        return Machine(device=self.device, numerics=self.numerics, max_pixels=pixels, max_memory=self.room(), jobs=tiles)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What becomes of what is not colour."""

    alpha: Annotated[str, Option(metavar="keep|drop|flatten=COLOUR", help="Transparency: kept losslessly by default.")] = "keep"
    keep_icc: Annotated[bool, Option("--keep-icc", help="Keep the colour profile in the file; pixels are sRGB all the same.")] = False

    def rule(self) -> "AlphaRule":
        """What becomes of transparency. Raises InputError."""
        from tokodec.media.alpha import parse_alpha_rule

        return parse_alpha_rule(self.alpha)


@dataclass(frozen=True, kw_only=True)
class Aiming:
    """Which codec makes a file, and at which rate."""

    model: Annotated[str | None, Option("--model", "-m", metavar="NAME", help="A codec: see tokodec models list; or dir:FOLDER.")] = None
    quality: Annotated[float | None, Option("--quality", "-q", metavar="0..1", help="The default is 0.5.")] = None
    target_bpp: Annotated[float | None, Option(metavar="X", help="Bits per pixel of the whole file, met within 3 %.")] = None
    target_size: Annotated[str | None, Option(metavar="SIZE", help="Size of the whole file, such as 40k, met within 3 %.")] = None
    strict: Annotated[bool, Option("--strict", help="Fail when a target is not met, instead of taking the nearest.")] = False
    tile: Annotated[
        str | None, Option(metavar="SIDE|none", help="Cut pictures into tiles; by default those above 4 megapixels, into tiles of 1024.")
    ] = None

    def tiling(self) -> "Tiling | None":
        """Which pictures are cut into tiles, if anything is said of it. Raises InputError."""
        from tokodec.entropy.tileplan import NEVER, Tiling

        if self.tile is None:
            return None
        if self.tile == "none":
            return NEVER
        if not self.tile.isdecimal():
            raise InputError(f"--tile is the side of tiles in pixels, or none, not {self.tile!r}")
        return Tiling(side=int(self.tile), above=0)

    def rate(self) -> Rate | None:
        """What is asked of the rate, if anything is. Raises InputError."""
        asked = [
            *([Quality(self.quality)] if self.quality is not None else []),
            *([TargetBpp(self.target_bpp)] if self.target_bpp is not None else []),
            *([TargetBytes(parse_size(self.target_size))] if self.target_size is not None else []),
        ]
        if len(asked) > 1:
            raise InputError("give only one of --quality, --target-bpp and --target-size")
        return asked[0] if asked else None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Which codec decodes a file, and into which format."""

    model: Annotated[
        str | None, Option("--model", "-m", metavar="NAME", help="Decode with this codec; its fingerprint must be the file's.")
    ] = None
    force_model: Annotated[str | None, Option(metavar="NAME", help="Decode with this codec, whatever the file says.")] = None
    format: Annotated[
        str | None, Option(metavar="NAME", help="Of pictures: png, jpeg, webp ...; else as the output's suffix says, or png.")
    ] = None
    region: Annotated[str | None, Option(metavar="X,Y,WIDTH,HEIGHT", help="Decode only this part of the picture.")] = None

    def box(self) -> "Box | None":
        """The region, if there is one. Raises InputError."""
        from tokodec.entropy.tileplan import Box

        if self.region is None:
            return None
        parts = self.region.split(",")
        if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
            raise InputError(f"--region is X,Y,WIDTH,HEIGHT in pixels, not {self.region!r}")
        x, y, width, height = map(int, parts)
        return Box(top=y, left=x, bottom=y + height, right=x + width)


@dataclass(frozen=True, kw_only=True)
class Coding(Aiming, Decoding):
    """Both, for the verb that finds its direction itself."""

    model: Annotated[str | None, Option("--model", "-m", metavar="NAME", help="A codec: see tokodec models list; or dir:FOLDER.")] = None
