"""Rules of the layout that a machine can hold: floors, empty __init__ files, no prints, small pieces, tests."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = {
    "tvg_lightning.schema": 0,
    "tvg_lightning.spans": 0,
    "tvg_lightning.span_sets": 0,
    "tvg_lightning.files": 0,
    "tvg_lightning.old_keys": 0,
    "tvg_lightning.plain_english": 0,
    "tvg_lightning.timestrings": 0,
    "tvg_lightning.strict_formats": 0,
    "tvg_lightning.parsing": 0,
    "tvg_lightning.answer_marks": 0,
    "tvg_lightning.progress": 0,
    "tvg_lightning.notices": 0,
    "tvg_lightning.published": 0,
    "tvg_lightning.presets": 1,
    "tvg_lightning.prompts": 1,
    "tvg_lightning.answers": 1,
    "tvg_lightning.rewards": 1,
    "tvg_lightning.tasks": 1,
    "tvg_lightning.advantage": 2,
    "tvg_lightning.oracle": 2,
    "tvg_lightning.parallel": 2,
    "tvg_lightning.machine": 2,
    "tvg_lightning.losses": 2,
    "tvg_lightning.data": 3,
    "tvg_lightning.policy": 4,
    "tvg_lightning.traces": 4,
    "tvg_lightning.timeline": 4,
    "tvg_lightning.predictions": 4,
    "tvg_lightning.harvest": 5,
    "tvg_lightning.filter": 5,
    "tvg_lightning.scoring": 5,
    "tvg_lightning.metrics": 5,
    "tvg_lightning.diagnosis": 5,
    "tvg_lightning.failures": 5,
    "tvg_lightning.browsing": 6,
    "tvg_lightning.pages": 6,
    "tvg_lightning.plan": 5,
    "tvg_lightning.sample_files": 5,
    "tvg_lightning.data_plan": 5,
    "tvg_lightning.datamodule": 6,
    "tvg_lightning.engines": 6,
    "tvg_lightning.modules": 7,
    "tvg_lightning.teacher": 7,
    "tvg_lightning.tools": 8,
    "tvg_lightning.__main__": 9,
    "callbacks": 8,
}

# The lowest floor that may import a library: cheap things must stay cheap to import.
LIBRARY_FLOORS = {
    "torch": 2,
    "transformers": 4,
    "peft": 4,
    "bitsandbytes": 4,
    "decord": 3,
    "av": 3,
    "torchmetrics": 5,
    "scipy": 5,
    "lightning": 6,
    "pytorch_lightning": 6,
    "jsonargparse": 6,
    "vllm": 6,
}

# what only one module may import, and everybody else takes from there
ONE_PLACE = {"bitsandbytes": "tvg_lightning.policy.four_bit"}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
QUESTIONS = frozenset({"What", "Which", "Whether", "How", "Where", "When", "Who", "Whose", "Why"})


def sources() -> list[Path]:
    return sorted([*ROOT.glob("tvg_lightning/**/*.py"), *ROOT.glob("callbacks/**/*.py")])


def module_of(path: Path) -> str:
    """``tvg_lightning/data/video.py`` -> ``tvg_lightning.data.video``; a package is named by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module: str) -> int | None:
    """The floor of the longest prefix that has one; None for a module that nobody placed."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in FLOORS:
            return FLOORS[".".join(parts[:length])]
    return None


def imports_of(tree: ast.AST, modules: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Every imported module with its line, in functions too; ``from a import b`` is a.b if a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "relative import", node.lineno
                continue
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in modules else str(node.module)), node.lineno


def ours(module: str) -> bool:
    return module.split(".")[0] in {"tvg_lightning", "callbacks"}


def import_faults(module: str, source: str, modules: frozenset[str]) -> list[str]:
    """What is wrong with the imports of one module, as ``module:line what``."""
    floor = floor_of(module)
    if floor is None:
        return [f"{module}:1 has no floor; give it one in FLOORS"]
    faults: list[str] = []
    for name, line in imports_of(ast.parse(source), modules):
        top = name.split(".")[0]
        if name == "relative import":
            faults.append(f"{module}:{line} relative import")
        elif top == "callbacks" and not module.startswith("callbacks"):
            faults.append(f"{module}:{line} imports callbacks")
        elif ours(name):
            target = floor_of(name)
            if target is None or target > floor:
                faults.append(f"{module}:{line} floor {floor} imports {name} of floor {target}")
        elif floor == 0 and top not in sys.stdlib_module_names:
            faults.append(f"{module}:{line} floor 0 imports {top}, which is not in the standard library")
        elif LIBRARY_FLOORS.get(top, 0) > floor:
            faults.append(f"{module}:{line} floor {floor} imports {top}, allowed from floor {LIBRARY_FLOORS[top]}")
        elif ONE_PLACE.get(top, module) != module:
            faults.append(f"{module}:{line} imports {top}: take it from {ONE_PLACE[top]}")
    return faults


def style_faults(module: str, source: str) -> list[str]:
    """Prints, broad excepts, docstrings that are questions, and files or functions over the ceilings."""
    faults: list[str] = []
    if source.count("\n") > MAX_FILE_LINES:
        faults.append(f"{module} has {source.count(chr(10))} lines, the ceiling is {MAX_FILE_LINES}")
    may_print = module.startswith("tvg_lightning.tools.") or module.endswith(".__main__")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and not may_print:
            faults.append(f"{module}:{node.lineno} print")
        if isinstance(node, ast.ExceptHandler) and broad(node.type):
            faults.append(f"{module}:{node.lineno} broad except")
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first_word = (ast.get_docstring(node) or "-").split()[0]
            if first_word in QUESTIONS:
                faults.append(f'{module}: a docstring begins with "{first_word}": say it with a noun or a verb')
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            num_lines = node.end_lineno - node.lineno + 1
            if num_lines > MAX_FUNCTION_LINES:
                faults.append(f"{module}:{node.lineno} {node.name} has {num_lines} lines")
    return faults


RUNS_CODE = frozenset(
    {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
)
UNPICKLERS = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"})
# what a run says to its own processes that read videos, over a pipe that only they hold
PICKLES_TO_ITSELF = frozenset({"tvg_lightning.data.workers.worker"})


def security_faults(module: str, source: str) -> list[str]:
    """Where code that stands in data could be run."""
    faults: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and module not in PICKLES_TO_ITSELF:
            faults += [f"{module}:{node.lineno} imports {a.name}" for a in node.names if a.name in UNPICKLERS]
        if isinstance(node, ast.ImportFrom) and node.module in UNPICKLERS:
            names = {alias.name for alias in node.names} - {"PickleError", "UnpicklingError"}
            faults += [f"{module}:{node.lineno} imports {node.module}.{name}" for name in sorted(names)]
        if isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            faults.append(f"{module}:{node.lineno} trust_remote_code")
        if isinstance(node, ast.Call):
            faults += [f"{module}:{node.lineno} {fault}" for fault in call_faults(node)]
    return faults


# what only the files of families may know; beside them the makers of the packaged policy, which is of one family
FAMILY_NAME = re.compile(r"qwen_?\d|model_type", re.IGNORECASE)
KNOWS_FAMILIES = ("tvg_lightning.policy.families.", "tvg_lightning.policy.tiny_arch", "tvg_lightning.tools.pretrain_")


def family_faults(module: str, source: str) -> list[str]:
    """Where a module that all families share imports from one of them, or asks which one it has."""
    if module.startswith(KNOWS_FAMILIES):
        return []
    faults: list[str] = []
    for node in ast.walk(ast.parse(source)):
        may_tell = isinstance(node, ast.Import | ast.ImportFrom | ast.Compare | ast.Match)
        if may_tell and FAMILY_NAME.search(ast.unparse(node)):
            faults.append(f"{module}:{node.lineno} knows a family: {ast.unparse(node)}")
    return faults


def call_faults(call: ast.Call) -> Iterator[str]:
    """What is wrong with a call, judged by its name and its keywords."""
    name, keywords = ast.unparse(call.func), {k.arg: ast.unparse(k.value) for k in call.keywords}
    if name in RUNS_CODE:
        yield name
    if name == "torch.load" and keywords.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    elif keywords.get("weights_only", "True") != "True" and not name.endswith(".save_checkpoint"):
        yield f"{name} with weights_only={keywords['weights_only']}"
    for keyword in ("shell", "trust_remote_code", "allow_pickle"):
        if keywords.get(keyword, "False") != "False":
            yield f"{keyword} in {name}"
    if name.endswith("from_pretrained") and keywords.get("use_safetensors", "True") != "True":
        yield f"use_safetensors={keywords['use_safetensors']} in {name}"


def broad(kind: ast.expr | None) -> bool:
    """Bare, Exception or BaseException, also inside a tuple."""
    if isinstance(kind, ast.Tuple):
        return any(broad(part) for part in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})


def circle_in(graph: dict[str, set[str]]) -> list[str] | None:
    """One circle of imports as a path that ends where it began, or None."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        for target in sorted(graph.get(module, ())):
            found = walk(target, [*path, module])
            if found:
                return found
        done.add(module)
        return None

    for module in sorted(graph):
        found = walk(module, [])
        if found:
            return found
    return None


@pytest.fixture(scope="module")
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in sources())


def test_imports_go_down_floors(modules: frozenset[str]) -> None:
    faults: list[str] = []
    for path in sources():
        if path.name != "__init__.py":
            faults += import_faults(module_of(path), path.read_text(encoding="utf-8"), modules)
    assert not faults, "\n".join(faults)


def test_imports_have_no_circle(modules: frozenset[str]) -> None:
    graph = {
        module_of(path): {
            name for name, _ in imports_of(ast.parse(path.read_text(encoding="utf-8")), modules) if name in modules
        }
        for path in sources()
    }
    assert circle_in(graph) is None


def test_init_files_are_empty() -> None:
    full = [str(path.relative_to(ROOT)) for path in sources() if path.name == "__init__.py" and path.stat().st_size]
    assert not full


def test_every_package_has_an_init_file() -> None:
    folders = {path.parent for path in sources()}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def mirrored(path: Path) -> Path:
    """``tvg_lightning/data/video.py`` -> ``tests/data/test_video.py``; a command line's test is test_main.py."""
    folder = path.relative_to(ROOT).parent
    inner = folder.relative_to("tvg_lightning") if folder.parts[0] == "tvg_lightning" else folder
    return ROOT / "tests" / inner / f"test_{path.stem.strip('_')}.py"


def test_every_module_has_its_test_file() -> None:
    """Under its name, in the same place of the tree."""
    modules = [path for path in sources() if path.name != "__init__.py"]
    assert mirrored(ROOT / "callbacks/throughput.py") == ROOT / "tests/callbacks/test_throughput.py"
    missing = [str(mirrored(path).relative_to(ROOT)) for path in modules if not mirrored(path).is_file()]
    assert not missing


def test_pieces_are_small_and_quiet() -> None:
    faults: list[str] = []
    for path in [*sources(), *ROOT.glob("train.py")]:
        faults += style_faults(module_of(path), path.read_text(encoding="utf-8"))
    assert not faults, "\n".join(faults)


def test_families_are_told_apart_in_their_folder_alone() -> None:
    faults: list[str] = []
    for path in [*sources(), *ROOT.glob("train.py")]:
        faults += family_faults(module_of(path), path.read_text(encoding="utf-8"))
    assert not faults, "\n".join(faults)


def test_nothing_in_data_is_run() -> None:
    faults: list[str] = []
    for path in [
        *sources(),
        *ROOT.glob("train.py"),
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("benchmarks/sides/*.py"),
    ]:
        faults += security_faults(module_of(path), path.read_text(encoding="utf-8"))
    assert not faults, "\n".join(faults)


KNOWN = frozenset({"tvg_lightning", "tvg_lightning.spans", "tvg_lightning.traces", "callbacks.throughput"})


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("tvg_lightning.spans", "import numpy", "standard library"),
        (
            "tvg_lightning.spans",
            "from tvg_lightning import traces",
            "floor 0 imports tvg_lightning.traces of floor 4",
        ),
        ("tvg_lightning.traces", "def f():\n    import callbacks.throughput", "imports callbacks"),
        ("tvg_lightning.rewards.iou", "import torch.nn as nn", "allowed from floor 2"),
        ("tvg_lightning.policy.backbone", "from lightning import Trainer", "allowed from floor 6"),
        ("tvg_lightning.traces", "from . import spans", "relative import"),
        ("tvg_lightning.spanner", "import math", "has no floor"),
        ("tvg_lightning.policy.export", "from bitsandbytes.nn import Linear4bit", "take it from tvg_lightning.policy"),
    ],
)
def test_import_faults_are_found(module: str, source: str, fault: str) -> None:
    (found,) = import_faults(module, source, KNOWN)
    assert fault in found


def test_fair_imports_pass() -> None:
    source = "import math\nimport torch\nfrom tvg_lightning import spans\nfrom tvg_lightning.spans import iou"
    assert import_faults("tvg_lightning.losses.grpo", source, KNOWN) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("print(1)", "print"),
        ("try:\n    x = 1\nexcept:\n    pass", "broad except"),
        ("try:\n    x = 1\nexcept (KeyError, Exception):\n    pass", "broad except"),
        ("x = 1\n" * 401, "ceiling"),
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ('def f():\n    """What f gives."""', 'begins with "What"'),
        ('"""How it works."""', 'begins with "How"'),
    ],
)
def test_style_faults_are_found(source: str, fault: str) -> None:
    (found,) = style_faults("tvg_lightning.spans", source)
    assert fault in found


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("import json, dill", "imports dill"),
        ("from pickle import UnpicklingError, loads", "imports pickle.loads"),
        ("eval(text)", "eval"),
        ("exec(text, {})", "exec"),
        ("os.system('ls')", "os.system"),
        ("yaml.load(text)", "yaml.load"),
        ("torch.load(path)", "without weights_only"),
        ("torch.load(path, weights_only=False)", "without weights_only"),
        ("Module.load_from_checkpoint(path, weights_only=False)", "weights_only=False"),
        ("subprocess.run(command, shell=True)", "shell in subprocess.run"),
        ("AutoModel.from_pretrained(name, trust_remote_code=True)", "trust_remote_code in AutoModel"),
        ("options = {'trust_remote_code': True}", "trust_remote_code"),
        ("np.load(path, allow_pickle=True)", "allow_pickle in np.load"),
        ("Model.from_pretrained(name, use_safetensors=None)", "use_safetensors=None"),
    ],
)
def test_security_faults_are_found(source: str, fault: str) -> None:
    (found,) = security_faults("tvg_lightning.traces", source)
    assert fault in found


@pytest.mark.parametrize(
    "source",
    [
        "from transformers import Qwen2_5_VLConfig",
        "import transformers.models.qwen3_vl",
        "from tvg_lightning.policy.families.qwen3_vl import QWEN3_VL",
        "x = 1 if policy.family.model_type == other else 2",
        "if family == 'qwen3_vl':\n    pass",
    ],
)
def test_modules_that_know_a_family_are_found(source: str) -> None:
    (found,) = family_faults("tvg_lightning.policy.backbone", source)
    assert "knows a family" in found
    assert family_faults("tvg_lightning.policy.families.qwen3_vl", source) == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, map_location='cpu', weights_only=True)",
        "policy.eval(); re.compile(text); yaml.safe_load(text); np.load(path, allow_pickle=False)",
        "from pickle import UnpicklingError",
        "trainer.save_checkpoint(part, weights_only=False)",
        "subprocess.run(command, shell=False)",
    ],
)
def test_safe_calls_pass(source: str) -> None:
    assert security_faults("tvg_lightning.traces", source) == []


def test_tools_may_print() -> None:
    assert style_faults("tvg_lightning.tools.score", "print(1)") == []
    assert style_faults("tvg_lightning.__main__", "print(1)") == []


def test_circles_are_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}}) is None
