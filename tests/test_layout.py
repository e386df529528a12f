"""The shape of the house: floors, rooms, cards, ledger, generated files, sizes, and what must stay free of torch."""

import ast
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokodec import catalogue, zoo
from tokodec.entropy.container import Header, Kind, Segment, TkdFile, pack
from tokodec.entry import Entry

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tokodec"
ROOMS = ("tokenizers", "codecs", "eval", "pretrained")

FLOORS = (
    {"errors", "numerics"},
    {"licences"},
    {"atomic", "checkpoint", "pool", "page"},
    {"sequence", "storage", "settings"},
    {"codes"},
    {"api"},
    {"nn"},
    {"media", "metrics", "perception", "entry", "catalogue", "rate", "quality"},
    {"quantizers", "entropy", "data"},
    {"losses", "tokenizers", "listing"},
    {"codecs"},
    {"zoo"},
    {"pretrained"},
    {"tokenformats"},
    {"tokenfile"},
    {"tiled"},
    {"machine"},
    {"opened"},
    {"files"},
    {"train", "eval", "analyze"},
    {"__init__"},
    {"cli"},
)
"""Units of the package from the ground up; a unit imports from floors below its own only. ``__init__`` is the door."""

FLOOR = {unit: number for number, units in enumerate(FLOORS) for unit in units}
SOURCES = sorted(PACKAGE.rglob("*.py"))
BARRED_CALLS = {"eval", "exec", "compile", "__import__"}
BARRED_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
HEAVY = {"torch", "torchvision", "numpy", "PIL", "constriction", "huggingface_hub", "safetensors", "scipy"}


def name_of(path: Path) -> str:
    return ".".join(("tokodec", *path.relative_to(PACKAGE).with_suffix("").parts))


def unit_of(module: str) -> str:
    """``entropy`` of ``tokodec.entropy.coder``, and ``__init__`` of the door."""
    return [*module.split("."), "__init__"][1]


def modules_of(node: ast.AST, package: list[str]) -> list[str]:
    """The modules that one statement imports, relative ones made absolute. ``package``: where the statement stands."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = ".".join([*(package[: len(package) + 1 - node.level] if node.level else []), *([node.module] if node.module else [])])
    return [f"{base}.{alias.name}" for alias in node.names] if base == "tokodec" else [base]


def imports(path: Path) -> Iterator[str]:
    """All modules that a file imports, at the top, in functions, and for type checkers."""
    package = name_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        yield from modules_of(node, package)


def climbs(source: str, module: str) -> list[str]:
    """What is imported by the text of a module from its own floor or from above."""
    package = module.split(".")[:-1]
    targets = [m for node in ast.walk(ast.parse(source)) for m in modules_of(node, package) if m.split(".")[0] == "tokodec"]
    own = unit_of(module)
    return [m for m in targets if unit_of(m) != own and FLOOR[unit_of(m) if unit_of(m) in FLOOR else "__init__"] >= FLOOR[own]]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_run_down_the_floors(path: Path) -> None:
    assert unit_of(name_of(path)) in FLOOR, "a new unit needs a floor in this file"
    assert climbs(path.read_text(encoding="utf-8"), name_of(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import tokodec.zoo",
        "from tokodec import codecs",
        "from tokodec.codecs.hyperprior_vr import HyperpriorVR",
        "from ..codecs import hyperprior_vr",
        "from .. import zoo",
        "def f():\n    from tokodec import load",
        "import tokodec",
        "from tokodec.entropy import coder",
    ],
)
def test_an_import_that_climbs_is_seen(source: str) -> None:
    assert climbs(source, "tokodec.media.read")


def test_imports_below_or_within_a_unit_are_allowed() -> None:
    assert (
        climbs("from tokodec.errors import InputError\nfrom . import picture\nfrom tokodec.media import limits", "tokodec.media.read") == []
    )


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_hold_no_python(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if path.suffix in {".py", ".pyi", ".pyc", ".so"}] == []


@pytest.mark.parametrize(("name", "entry"), zoo.MODELS.items())
def test_every_model_has_a_card(name: str, entry: Entry) -> None:
    card = ROOT / catalogue.room(entry.kind) / f"{entry.family}.md"
    assert card.is_file(), f"{name} has no card"
    assert catalogue.unversioned(name) in card.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "entry"), zoo.MODELS.items())
def test_trained_weights_have_a_recipe(name: str, entry: Entry) -> None:
    row = catalogue.ledger().get(entry.weights.file) if entry.weights else None
    stem, _, version = name.replace("-", "_").partition(".")
    recipes = {f"{catalogue.room(entry.kind)}/{stem}{suffix}.toml" for suffix in ("", f"_{version}")}  # a later version may have its own
    assert row is None or row.recipe in recipes or (row.recipe == "" and name.endswith("_test"))
    assert row is None or row.recipe == "" or (ROOT / row.recipe).is_file()


def test_ledger_describes_exactly_the_files_there_are() -> None:
    files = {path.name: path.read_bytes() for path in (ROOT / "pretrained").glob("*.safetensors")}
    rows = catalogue.ledger()
    assert {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()} == {
        name: (row.bytes, row.sha256) for name, row in rows.items()
    }


def test_ledger_agrees_with_the_zoo() -> None:
    shipped = {entry.weights.file: entry.weights.licence for entry in zoo.MODELS.values() if entry.weights}
    assert {name: row.licence for name, row in catalogue.ledger().items()}.items() <= shipped.items()


@pytest.mark.parametrize("row", catalogue.ledger().values(), ids=lambda row: row.file)
def test_ledger_rows_are_complete(row: catalogue.LedgerRow) -> None:
    """Weights that were never trained say so with an empty recipe, and no figures."""
    figures = (row.hours > 0, row.steps > 0, row.pixels > 0, len(row.commit) >= 7, bool(row.metrics))
    assert figures == (bool(row.recipe),) * len(figures)
    assert row.training_data
    assert row.machine


def test_generated_files_are_current() -> None:
    """Run ``python -m tokodec.zoo`` when this fails."""
    stale = [path.relative_to(ROOT) for path, text in zoo.generated(ROOT, zoo.rows()).items() if path.read_text(encoding="utf-8") != text]
    assert stale == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_fit_a_reader(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 50] == []


def barred(source: str) -> list[str]:
    """Ways to run code that comes from a file, in the text of a module."""
    found: list[str] = []
    tree = ast.parse(source)
    safe = {id(call.func) for call in ast.walk(tree) if isinstance(call, ast.Call) and _tensors_only(call)}
    for node in ast.walk(tree):
        found += [m for m in modules_of(node, ["tokodec"]) if m.split(".")[0] in BARRED_MODULES]
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in BARRED_CALLS:
                found.append(name)
            case ast.Attribute(value=ast.Name(id="torch"), attr="load") if id(node) not in safe:
                found.append("torch.load")
            case ast.ImportFrom(module="torch", names=names):
                found += [f"torch.{a.name}" for a in names if a.name in {"load", "hub"}]
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
                pass
            case ast.keyword(arg="allow_pickle"):
                found.append("allow_pickle")
            case _:
                pass
    return found


def _tensors_only(call: ast.Call) -> bool:
    """Whether a call says ``weights_only=True`` itself: the reader of tensors that knows no other objects."""
    return any(k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_can_run_code(path: Path) -> None:
    assert barred(path.read_text(encoding="utf-8")) == []


def test_files_of_torch_are_read_in_one_place() -> None:
    """By whoever converts them. Our own weights are safetensors."""
    assert [name_of(p) for p in SOURCES if "torch.load" in p.read_text(encoding="utf-8")] == ["tokodec.checkpoint"]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval(x)",
        "torch.load(p)",
        "torch.load(p, weights_only=x)",
        "from torch import load",
        "np.load(p, allow_pickle=True)",
    ],
)
def test_a_way_to_run_code_is_seen(source: str) -> None:
    assert barred(source)


def test_evaluation_mode_and_safe_loading_are_no_false_alarm() -> None:
    safe = "model.eval()\ntorch.load(p, weights_only=True)\nnp.load(p, allow_pickle=False)\n"
    assert barred(safe + "safetensors.torch.load_file(p)\nre.compile('x')") == []


def loaded_by(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport sys\nsys.stderr.write('|' + ' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return HEAVY & set(run.stderr.rpartition("|")[2].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import tokodec; tokodec.__version__; dir(tokodec)",
        "import tokodec; tokodec.TokodecError",
        "import tokodec; tokodec.list_models(); tokodec.model_info('hyperprior_vr')",
        "import tokodec.catalogue as c; c.folder('pretrained'); c.ledger()",
        "import tokodec.listing",
        "import tokodec.entropy, tokodec.entropy.container",
        "import tokodec.media, tokodec.media.limits",
    ],
)
def test_costs_nothing_to_import(statement: str) -> None:
    assert loaded_by(statement) == set()


@pytest.fixture(scope="module")
def tkd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    header = Header(model="hyperprior_vr.v1", fingerprint=bytes(8), width=3, height=2, gray=False, symbol_crc=0)
    path = tmp_path_factory.mktemp("tkd") / "picture.tkd"
    path.write_bytes(pack(TkdFile(header=header, segments=(Segment(kind=Kind.PAYLOAD, data=b"payload"),))))
    return path


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "compress --help",
        "train --help",
        "models list",
        "models info hyperprior_vr",
        "models verify",
        "inspect TKD",
        "verify TKD",
    ],
)
def test_command_needs_no_torch(command: str, tkd: Path) -> None:
    arguments = [str(tkd) if word == "TKD" else word for word in command.split()]
    assert loaded_by(f"from tokodec.cli.main import run; assert run({arguments!r}) == 0") == set()


def test_heavy_imports_are_seen() -> None:
    assert loaded_by("import tokodec, numpy") == {"numpy"}
