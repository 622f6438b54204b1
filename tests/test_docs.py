"""The documentation: the site builds, links lead somewhere, every command exists and takes the values that it is given.

Each command in README.md and docs/ is run here (`RUN_HERE`), or by a test that `RUN_BY` names, or listed with the reason why no
test runs it (`NOT_RUN`).
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from dvc.cli.parser import get_main_parser
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from typer.core import TyperGroup

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.params import schema
from tests.conftest import ROOT, scene, write_film

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "comfyui_genga/README.md",
    ROOT / "pretrained/README.md",
    *(page for page in DOCS if page.name not in ("log.md", "params.md")),
]
MARKDOWN = MarkdownIt("commonmark")

GENGA = typer.main.get_command(cli.app)
assert isinstance(GENGA, TyperGroup)

RUN_HERE = (
    r"genga use( (fast-style|distill))?",
    r"genga stylize photo.jpg( -o out.jpg)?",
    r"genga stylize (photo.jpg )?folder/ .* -o redrawn",
    r"genga stylize clip.mp4.*",
)
RUN_BY = {
    r"genga (evaluate|export|pack) .*": "tests/faults/test_network.py",
    r"genga doctor|genga stylize --model .*": "tests/test_cli.py",
    r"genga review": "tests/commands/test_review.py",
    r"genga use (genga|laptop) --film .*": "tests/commands/test_recipes.py",
    r"genga sweep": "tests/commands/test_sweep.py",
    r"genga compare .*": "tests/commands/test_compare.py",
    r"genga demo --static .*|python -m http.server .*": "tests/commands/test_static_demo.py",
    r"genga demo (?!--static).*": "tests/commands/test_demo.py",
    r"dvc repro( report| pretrain)?|make repro": "tests/test_dag.py",
    r"git add (params.yaml )?dvc.lock|git commit -m Baseline": "tests/test_dag.py",
    r"dvc exp run (?!--queue).*|dvc exp show --only-changed.*": "tests/test_dag.py",
    r"dvc exp run --queue .*|dvc queue (start|status).*": "tests/faults/test_readme.py",
    r"dvc (remote|push|pull|get|artifacts) .*|dvc (push|pull)|dvc repro --allow-missing": "tests/faults/test_sharing.py",
    r"genga watch": "tests/commands/test_watch.py",
    r"make setup TORCH=.*": "tests/test_install.py",
    r"(dask (scheduler|worker)|GENGA_CLUSTER=).*": "tests/core/test_parallel.py",
    r"python -m benchmarks.on_gpu .*": "tests/benchmarks/test_on_gpu.py",
}
"""The test that runs a command, or what it calls, with other values."""
NOT_RUN = {
    r"git (clone|tag|add|commit) .*|cd .*|git (pull|push)( --tags)?|source .*": "what a person's shell does",
    r"cp .*": "copies a file of the reader",
    r"make (setup|test|test-fast|test-faults|format lint)|pytest .*": "the test run itself, and what sets it up",
    r"pip install .*": "installs packages; tests run in what it makes",
    r"make dataset": "dvc repro report: tests/test_dag.py runs its stages, tests/test_report.py those of films alone",
    r"docker .*": "there is no Docker where Genga is tested; the Dockerfile runs make setup",
    r"GENGA_DEVICE=mps .*|.*--device mps": "takes a Mac; tests fake the device (docs/install.md)",
    r"dvc (status|checkout|commit --force|exp apply NAME|exp apply style-wave|metrics show .*)": "DVC's own, options checked",
    r"dvc --wait-for-lock repro .*": "tried by hand for docs/scaling.md; its options are checked",
}
OTHER_PROGRAMS = {"git", "cp", "cd", "source", "pytest", "pip", "docker", "dask", "zensical"}
EXAMPLE_KEYS = {"loss.brightness_weight"}  # docs/contributing.md adds it


class Command(NamedTuple):
    """A simple command of a code block, without comment and operators."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def fences(page: Path, *languages: str) -> Iterator[str]:
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        if token.type == "fence" and token.info in languages:
            yield token.content


def commands_in(page: str, text: str) -> Iterator[Command]:
    """Split a block of shell into simple commands; loops are read as if they ran once."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in text.splitlines():
        line = re.sub(r'"?\$\(.*\)"?', "VALUE", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token in ("&&", ";", "&", "|", "do", "done", "wait"):
                if words and words[0] != "for" and not re.fullmatch(r"\w+=\S*", " ".join(words)):
                    yield Command(page, tuple(words))
                words = []
            else:
                words.append(token)


COMMANDS = sorted(
    {
        command
        for page in PAGES
        for text in fences(page, "sh", "bash")
        for command in commands_in(page.relative_to(ROOT).as_posix(), text)
    }
)


def test_blocks_are_split_into_commands() -> None:
    text = """
git add a && git commit -m "two words"   # why
for x in 1 2; do
  n=$(basename x)
  dvc repro "k@$x" &
done; wait
A=1 genga use
"""
    found = [command.words for command in commands_in("page", text)]
    assert found == [
        ("git", "add", "a"),
        ("git", "commit", "-m", "two words"),
        ("dvc", "repro", "k@$x"),
        ("A=1", "genga", "use"),
    ]
    assert len(COMMANDS) > 60 and len(PAGES) > 15


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_exists_and_takes_these_values(command: Command) -> None:
    words = list(command.words)
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    program, *arguments = words
    match program:
        case "genga":
            check_genga(arguments)
        case "make":
            targets = [word for word in arguments if "=" not in word]
            assert set(targets) <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
        case "dvc":
            check_dvc(arguments)
        case "python":
            assert arguments[0] == "-m" and importlib.util.find_spec(arguments[1]) is not None
        case "pytest":
            assert all((ROOT / word).exists() for word in arguments if word.startswith("tests"))
        case _:
            assert program in OTHER_PROGRAMS


def check_genga(arguments: list[str]) -> None:
    """Let the command line parse the arguments, without running the verb."""
    verb, *rest = arguments
    assert isinstance(GENGA, TyperGroup) and verb in GENGA.commands
    GENGA.commands[verb].make_context(verb, rest)


def check_dvc(arguments: list[str]) -> None:
    found: Any = get_main_parser().parse_args(arguments)
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    targets = getattr(found, "targets", None) or []
    if found.cmd in ("repro", "run"):
        assert {target.partition("@")[0] for target in targets} <= stages.keys()
    for change in getattr(found, "set_param", None) or []:
        key, _, value = change.partition("=")
        values = [] if key in EXAMPLE_KEYS or value.startswith(("range(", "$")) else value.split(",")
        for single in values:
            check_param(key, YAML(typ="safe").load(single))


def check_param(key: str, value: Any) -> None:
    """Check a value of a parameter as if it stood in params.yaml; values that depend on others may be refused for that."""
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    *sections, last = key.split(".")
    place = tree
    for section in sections:
        place = place[section]
    assert last in place, f"{key} is no parameter"
    place[last] = value
    try:
        schema.check(tree)
    except UserError as error:
        assert f"  {key}: " not in str(error)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_run_by_a_test_or_listed_with_a_reason(command: Command) -> None:
    listed = any(re.fullmatch(pattern, str(command)) for pattern in (*RUN_HERE, *NOT_RUN))
    tests = [name for pattern, name in RUN_BY.items() if re.fullmatch(pattern, str(command))]
    assert listed or tests
    verb = next(word for word in command.words[1:] if not word.startswith("-"))
    about = verb.rpartition(".")[2] if "=" not in command.words[0] else command.words[0].partition("=")[0]
    assert all(about in (ROOT / name).read_text("utf-8") for name in tests), f"no word of {about} there"


def test_the_lists_of_commands_have_nothing_that_is_gone() -> None:
    for pattern in (*RUN_HERE, *RUN_BY, *NOT_RUN):
        assert any(re.fullmatch(pattern, str(command)) for command in COMMANDS), pattern
    assert all((ROOT / file).exists() for file in RUN_BY.values())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder before its first run, with the pictures and the film that commands name."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    (tmp_path / "data").mkdir()
    for name in ("keep.txt", "drop.txt"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data")
    for name in ("photo.jpg", "folder/deep/a.png", "b.heic", "more/c.heic"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(tmp_path / f"{name}.png", scene(1, 64, 48))
        subprocess.run([sys.executable, "-c", CONVERT, f"{name}.png", name], cwd=tmp_path, check=True)
        (tmp_path / f"{name}.png").unlink()
    write_film(tmp_path / "clip.mp4", [scene(1, 64, 48)] * 3, 12)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CONVERT = """
import sys
import PIL.Image, pillow_heif
pillow_heif.register_heif_opener()
PIL.Image.open(sys.argv[1]).save(sys.argv[2])
"""


@pytest.mark.slow
def test_quick_commands_run_as_they_stand(project: Path) -> None:
    quick = [command for command in COMMANDS if any(re.fullmatch(pattern, str(command)) for pattern in RUN_HERE)]
    assert len(quick) >= len(RUN_HERE)
    for command in quick:
        arguments = list(command.words[1:])
        shutil.rmtree(project / "redrawn", ignore_errors=True)
        for result in (
            *project.glob("*-genga.*"),
            *project.glob("out.jpg"),
            *project.glob("*.jsonl"),
            *project.glob(".*.jsonl"),
        ):
            result.unlink(missing_ok=True)
        try:
            GENGA.main(arguments, standalone_mode=False)
        except (SystemExit, typer.Exit) as end:  # doctor: there is no trained model yet
            assert arguments == ["doctor"], (command, end)


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:")[2]
    assert sorted(re.findall(r": ([\w-]+\.md)$", menu, re.M)) == [page.name for page in DOCS]


@pytest.mark.slow
def test_the_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "site").glob("*.html"))) >= len(DOCS)
    with (tmp_path / "docs/index.md").open("a") as page:
        page.write("[gone](no-such-page.md)\n")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_links_outside_the_site_lead_to_files() -> None:
    pages = [path for path in (*ROOT.glob("*.md"), ROOT / "pretrained/README.md", *DOCS)]
    links = 0
    for page in pages:
        tokens = (child for token in MARKDOWN.parse(page.read_text("utf-8")) for child in token.children or ())
        for token in tokens:
            target = str(token.attrGet("href") or token.attrGet("src") or "")
            if target and not re.match(r"[a-z]+:|#", target):
                assert (page.parent / target.partition("#")[0]).exists(), (page.name, target)
                links += 1
    assert links > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parameters_that_pages_name_exist(page: Path) -> None:
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    text = page.read_text("utf-8")
    for section, key in re.findall(r"`(\w+)\.(\w+)(?:`|:|=)", text):
        if (
            isinstance(tree.get(section), dict)
            and section not in ("films", "footage")
            and f"{section}.{key}" not in EXAMPLE_KEYS
        ):
            assert key in tree[section] or key in ("NAME_weight",), f"{section}.{key}"
    for block in fences(page, "yaml"):
        if not block.startswith(" "):
            assert set(YAML(typ="safe").load(block)) <= tree.keys()


def test_options_that_pages_name_exist() -> None:
    assert isinstance(GENGA, TyperGroup)
    known = {
        option
        for command in (GENGA, *GENGA.commands.values())
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for name in ("stylize", "films", "demo", "export", "troubleshooting"):
        text = (ROOT / f"docs/{name}.md").read_text("utf-8")
        assert set(re.findall(r"`(--[a-z-]+)", text)) - {"--allow-missing"} <= known, name
