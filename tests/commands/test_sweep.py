"""`genga sweep`: on real experiments of a small repository, on what DVC told of a real queue, and in a browser."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.commands import experiments, sweep
from pipeline.commands.experiments import Experiment, Pictures
from pipeline.commands.sweep_charts import places
from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.web import sweep_page
from pipeline.web.evaluation_page import COLUMNS
from pipeline.web.sweep_page import said
from tests.support.browser import browse

HOSTILE = "a\"<b>&'x"
PHOTOS = ("photos/cat@1", "photos/<i>dog</i>@2")

# The last line stands for stage evaluate: numbers and pictures that follow from the weight.
STAGES = {
    "train": (
        "data/train",
        "open('data/train/generator.safetensors', 'w').write(json.dumps(params['loss']))",
    ),
    "evaluate": (
        "data/evaluate",
        "w = json.load(open('data/train/generator.safetensors'))['style_weight']\n"
        "numbers = {'score': 1 / (1 + abs(w - 5)), 'content_similarity': 0.5, 'photos': 2}\n"
        "json.dump(numbers, open('data/evaluate/metrics.json', 'w'))\n"
        "open('data/evaluate/pictures.csv', 'w').write('id,photo,result\\ncat,pictures/p.jpg,pictures/r.jpg\\n')\n"
        "os.mkdir('data/evaluate/pictures')\n"
        "open('data/evaluate/pictures/p.jpg', 'w').write('the photo')\n"
        "open('data/evaluate/pictures/r.jpg', 'w').write(f'drawn by {w}')",
    ),
}


class Project:
    """A git and DVC repository with the two stages that the page is about, each a few lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("git", "init", "-q")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")
        self.dvc("init -q", "config core.analytics false")
        stages: dict[str, Any] = {}
        for name, (out, code) in STAGES.items():
            (folder / f"{name}.py").write_text(
                "import json, os\nfrom ruamel.yaml import YAML\n"
                "params = YAML(typ='safe', pure=True).load(open('params.yaml'))\n"
                f"os.makedirs('{out}')\n{code}\n"
            )
            dep = [] if name == "train" else ["data/train/generator.safetensors"]
            stages[name] = {"cmd": f"{sys.executable} {name}.py", "deps": [f"{name}.py", *dep], "outs": [out]}
        stages["train"]["params"] = ["loss"]
        with (folder / "dvc.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump({"stages": stages, "metrics": [experiments.METRICS]}, file)
        self.set(style_weight=3)
        (folder / ".gitignore").write_text("/data\n")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "start")

    def set(self, **loss: Any) -> None:
        # Which is YAML too.
        (self.folder / "params.yaml").write_text(json.dumps({"loss": {"style_weight": 3, "form": "hinge"} | loss, "seed": 1}))

    def dvc(self, *commands: str) -> None:
        """Several commands of dvc, in one process, as each start of it takes a second."""
        code = (
            "import sys\nfrom dvc.cli import main\nfor command in sys.argv[1:]:\n    assert main(command.split()) == 0, command"
        )
        self.run(sys.executable, "-c", code, *commands)

    def run(self, *command: str) -> None:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc" / "site"),
        }
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three experiments that were evaluated, one that was only trained, one that waits, and another in the workspace."""
    made = Project(tmp_path_factory.mktemp("swept"))
    made.dvc(
        "exp run -q --name last -S loss.style_weight=25",
        "exp run -q --name first -S loss.style_weight=1",
        f"exp run -q --name {HOSTILE} -S loss.style_weight=5",
        "exp run -q --name half -S loss.style_weight=7 train",
        "exp run -q --queue --name waits -S loss.style_weight=9",
    )
    made.set(style_weight=3, form="bce")
    made.dvc("repro -q")
    return made


def table_of(html: str) -> list[list[str]]:
    """The first cells of each row of the table of numbers, as written."""
    body = html.split('id="numbers"')[1].split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r'data-value="([^"]*)"', row) for row in body.split("</tr>") if "<tr" in row]


def test_real_experiments_stand_in_the_order_of_what_was_varied(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "pages/sweep.html"
    found = sweep.run(out, project=project.folder)
    assert found.params == ["loss.style_weight"]
    assert [(row.name, row.values) for row in found.rows] == [
        ("workspace", [3]),
        ("first", [1]),
        (HOSTILE, [5]),
        ("last", [25]),
    ]
    assert "loss.form bce" in found.rows[0].note, "what else is other in the workspace is said"
    assert {row.name: row.metrics["score"] for row in found.rows} == {
        "workspace": pytest.approx(1 / 3), "first": 0.2, HOSTILE: 1.0, "last": pytest.approx(1 / 21)
    }  # fmt: skip
    assert found.best is not None and found.best.name == HOSTILE
    [shot] = found.shots
    assert (shot.name, shot.photo) == ("cat", b"the photo")
    assert [(cell.name, cell.picture.decode()) for cell in shot.cells] == [
        ("first", "drawn by 1"), ("workspace", "drawn by 3"), (HOSTILE, "drawn by 5"), ("last", "drawn by 25")
    ]  # fmt: skip
    waiting = {one.name: one for one in found.waiting}
    assert waiting.keys() == {"half", "waits"}
    assert "not evaluated" in waiting["half"].trouble and waiting["half"].values == "loss.style_weight=7"
    assert "dvc queue start" in waiting["waits"].trouble
    html = out.read_text("utf-8")
    assert [row[1] for row in table_of(html)] == ["3", "1", "5", "25"]
    assert "<b>" not in html.replace("<li><b>", "") and "&lt;b&gt;" in html
    assert "dvc exp apply &#39;a&#34;&lt;b&gt;&amp;" in html, "and quoted for the shell"
    assert list(out.parent.iterdir()) == [out], "nothing half-written is left"
    # The page is replaced by the next; nothing else is.
    sweep.run(out, ["first", "l*"], project=project.folder)
    assert [row[0] for row in table_of(out.read_text("utf-8"))] == ["workspace", "first", "last"]


def test_a_workspace_that_was_not_run_has_no_numbers_and_one_that_is_an_experiment_no_row(project: Project) -> None:
    lock = (project.folder / "dvc.lock").read_bytes()
    try:
        project.set(style_weight=4, form="bce")
        here = experiments.read(project.folder)[0]
        assert here.metrics == {} and "dvc repro" in here.trouble
        project.set(style_weight=25)
        project.dvc("repro -q")
        found = sweep.compare(experiments.read(project.folder), {})
        assert [row.name for row in found.rows] == ["first", HOSTILE, "last"]
        assert "workspace" in found.rows[-1].note
    finally:
        project.set(style_weight=3, form="bce")
        (project.folder / "dvc.lock").write_bytes(lock)
        project.dvc("checkout -q --force")


def test_experiments_of_other_commits_are_asked_for(project: Project, tmp_path: Path) -> None:
    clone = tmp_path / "project"
    shutil.copytree(project.folder, clone, symlinks=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "later"], cwd=clone, check=True)
    with pytest.raises(UserError, match=r"no experiments grow from this commit: .*--all"):
        sweep.run(tmp_path / "sweep.html", project=clone)
    assert len(sweep.run(tmp_path / "sweep.html", all_commits=True, project=clone).rows) == 4


def test_faults_say_the_remedy(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no DVC repository"):
        sweep.run(tmp_path / "sweep.html", project=tmp_path)
    with pytest.raises(UserError, match=r"no experiment is called nob\*; there are: .*first"):
        sweep.run(tmp_path / "sweep.html", ["nob*"], project=project.folder)
    with pytest.raises(UserError, match=r"(?s)none of the experiments can be compared.*half.*waits"):
        sweep.run(tmp_path / "sweep.html", ["half", "waits"], project=project.folder)
    with pytest.raises(UserError, match=r"\.html"):
        sweep.run(tmp_path / "params.yaml", project=project.folder)
    other = tmp_path / "mine.html"
    other.write_text("<h1>mine</h1>")
    with pytest.raises(UserError, match="was not written by genga sweep"):
        sweep.run(other, project=project.folder)
    assert other.read_text() == "<h1>mine</h1>"
    bare = tmp_path / "bare"
    bare.mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=bare, check=True)
    with pytest.raises(UserError, match="git init"):
        sweep.run(tmp_path / "sweep.html", project=bare)


def state(rev: str, weight: float, metrics: dict[str, Any] | None, executor: str | None = None, error: str = "") -> Any:
    """A revision as `dvc exp show --json` of DVC 3.67 told of those of a real queue, shortened."""
    files = {experiments.METRICS: {"data": metrics}} if metrics is not None else {experiments.METRICS: {"error": "gone"}}
    data = {"rev": rev, "params": {"params.yaml": {"data": {"loss": {"style_weight": weight}}}}, "metrics": files}
    revision = {"rev": rev, "name": None, "data": None if error else data, "error": {"msg": error} if error else None}
    return {"revs": [revision], "name": f"exp-{rev}", "executor": {"state": executor} if executor else None}


def test_failed_running_and_unreadable_experiments_have_no_numbers(tmp_path: Path) -> None:
    log = tmp_path / "c.out"
    log.write_text("train: error: loss.<b>: no such layer\nERROR: failed to reproduce 'train': exited with 2\n")
    before = {"score": 0.9}  # what lay in the workspace when it began
    baseline = {
        "rev": "c0ffee",
        "experiments": [
            state("a", 1, before, "running"),
            state("b", 2, {"score": 0.5, "style_score": math.nan, "flag": True, "content_similarity": None}, "success"),
            state("c", 3, before, "failed"),
            state("d", 4, None),
            state("e", 5, None, error="cannot parse dvc.yaml"),
        ],
    }
    baseline["experiments"][2]["executor"]["local"] = {"log": str(log)}
    found = experiments.of_states([{"rev": "workspace", "data": None, "error": {"msg": "x"}}, baseline])
    assert [one.state for one in found] == ["workspace", "running", "done", "failed", "done", "done"]
    assert [dict(one.metrics) for one in found] == [{}, {}, {"score": 0.5}, {}, {}, {}], "only finite numbers"
    said = {one.name: one.trouble for one in found if one.trouble}
    assert "dvc queue logs exp-c" in said["exp-c"] and "dvc pull" in said["exp-d"] and "parse" in said["exp-e"]
    assert "train: error: loss.<b>: no such layer" in said["exp-c"]
    log.write_text("ERROR: not this\nERROR: No such file\n")
    assert "failed: ERROR: No such file" in experiments.of_states([{}, baseline])[3].trouble
    log.unlink()
    assert experiments.of_states([{}, baseline])[3].trouble == "failed: dvc queue logs exp-c tells all"
    page = sweep_page.page(sweep.compare(found, {}))
    for name in ("exp-a", "exp-c", "exp-d", "exp-e"):
        assert name in page.split('id="waiting"')[1]
    assert experiments.of_states([]) == []


def made(name: str, metrics: dict[str, float], **params: Any) -> Experiment:
    return Experiment(name, name, "done", params, metrics)


HERE = Experiment("workspace", None, "workspace", {"x": 1.0}, {}, "not run")


def test_numbers_that_some_lack_leave_gaps_and_columns_that_all_lack_are_left_out() -> None:
    full = {"score": 0.4, "style_score": 0.3, "style_score_error": 0.1, "content_similarity": 0.8}
    found = sweep.compare([HERE, made("a", full, x=1.0), made("b", {"flicker": 2.0}, x=100.0)], {})
    assert [column.name for column in found.columns] == [
        "score",
        "style_score",
        "style_score_error",
        "content_similarity",
        "flicker",
    ]
    assert table_of(sweep_page.page(found))[1] == ["b", "100", "", "", "", "", "2.0"]
    assert found.best is not None and found.best.name == "a" and found.charts and found.close == 0
    near = [made(name, {**full, "style_score": value}, x=value) for name, value in (("a", 0.3), ("b", 0.22), ("c", 0.1))]
    found = sweep.compare([HERE, *near], {})
    assert found.close == 1 and "(1 of the others lie within)" in sweep_page.page(found)
    none = sweep.compare([HERE, made("a", {"flicker": 1.0}, x=1.0)], {})
    assert none.best is None and not none.charts and "To take it" not in sweep_page.page(none)


def test_many_varied_parameters_have_few_columns_and_no_chart() -> None:
    many = {f"p{index}": index for index in range(9)}
    found = sweep.compare([HERE, made("a", {"score": 0.1}, **many), made("b", {"score": 0.2}, **dict.fromkeys(many, -1))], {})
    assert len(found.params) == sweep.SHOWN_PARAMS and found.more_params == ["p6", "p7", "p8"]
    assert not found.charts
    two = [made(f"{x}{y}", {"score": x}, x=x, y=y) for x in (0.1, 0.2, 0.3) for y in ("bce", "$hinge_$")]
    [chart] = sweep.compare([HERE, *two], {}).charts
    assert chart.alt == "score against x, a line for each value of y"
    assert images.read(Path("chart.png"), data=chart.light).shape == (chart.height_px, chart.width_px, 3)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=3), st.lists(st.integers(0, 2))
)


@given(st.lists(VALUES, max_size=8))
def test_any_values_have_one_order(values: list[Any]) -> None:
    ordered = sorted(values, key=sweep.order)
    assert [sweep.order(value) for value in ordered] == sorted(map(sweep.order, reversed(values)))
    numbers = [value for value in ordered if isinstance(value, int | float) and not isinstance(value, bool)]
    assert numbers == sorted(numbers) and ordered[: len(numbers)] == numbers, "numbers first, by size"
    assert all(value is None for value in ordered[len(ordered) - values.count(None) :])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.5, 1, 1.5, 3], "linear"), ([1, 5, 25], "log"), ([0.0, 0.1, 5], "symlog"), ([-10, 1], "symlog"), ([0], "linear"),
        (["bce", "hinge"], "named"), ([1, None], "named"), ([True, False], "named"), ([[1], [2]], "named"),
    ],
)  # fmt: skip
def test_scales_follow_the_values(values: list[Any], scale: str) -> None:
    where, found = places(values)
    assert found == scale and len(where) == len(values)
    if scale != "named":
        assert list(where.values()) == values


def test_varied_keys_are_those_whose_values_differ() -> None:
    tree = {"b": {"y": 1, "list": [1, 2], "empty": {}}, "a": "word"}
    assert experiments.flatten(tree) == {"b.y": 1, "b.list": [1, 2], "b.empty": {}, "a": "word"}
    one = made("one", {}, **{"b.y": 1, "b.list": [1, 2], "a": 1, "same": 1})
    other = made("other", {}, **{"b.y": 1.5, "b.list": [2, 1], "a": "1", "same": 1, "new": None, "only": 0})
    assert sweep.varied([one, other]) == ["b.y", "b.list", "a", "only"]
    assert said(0.00025) == "0.00025" and said([1, "x"]) == '[1, "x"]' and said(None) == "null"


def test_the_page_sorts_and_flips_by_keyboard(tmp_path: Path) -> None:
    def picture(level: int) -> bytes:
        return images.jpeg(np.full((64, 64, 3), level, np.uint8))

    swept = [made(name, {"score": score}, x=x) for name, x, score in (("a", 1.0, 0.2), (HOSTILE, 5.0, 0.9), ("c", 25.0, 0.1))]
    swept.append(made("d", {"flicker": 1.0}, x=100.0))
    shots: dict[str, Pictures] = {
        one.name: {photo: (picture(10), picture(20 * index)) for photo in PHOTOS} for index, one in enumerate(swept[:3])
    }
    path = tmp_path / "sweep.html"
    path.write_text(sweep_page.page(sweep.compare([HERE, *swept], shots)), "utf-8")
    names = "[...document.querySelectorAll('#numbers tbody th')].map(e => e.dataset.value).join()"
    with browse(tmp_path / "profile") as page:
        page.look(390, 844)
        page.open(path.as_uri())
        assert page.run(names) == f"a,{HOSTILE},c,d"
        page.run("document.querySelector('th[data-better=higher] button').focus()")
        page.press("Enter")
        assert page.run(names) == f"{HOSTILE},a,c,d", "the best first, without a number last"
        page.press("Enter")
        assert page.run(names) == f"c,a,{HOSTILE},d"
        assert page.run("document.querySelectorAll('[aria-sort]').length") == 1
        page.run("document.querySelector('.param button').click()")
        page.run("document.querySelector('.param button').click()")
        assert page.run(names) == f"d,c,{HOSTILE},a", "numbers by size, not as words"
        shown = (
            "[...document.querySelectorAll('.grid tbody tr')].map(r => [...r.cells].filter(c => c.offsetParent).length).join()"
        )
        assert page.run(shown) == "4,4"
        page.click(".flip input[type=checkbox]")
        assert page.run(shown) == "2,2"
        page.run("document.querySelector('.flip input[type=range]').focus()")
        page.send("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowRight", windowsVirtualKeyCode=39)
        assert HOSTILE in page.run("document.querySelector('.flip output').textContent")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways"
        assert page.errors == []


def test_leading_numbers_come_first() -> None:
    names = [column.name for column in COLUMNS]
    assert names[:2] == ["score", "style_score"] and "content_similarity" in names[:6]


def test_lists_of_pictures_may_hold_any_name() -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["id", "photo", "result"], ['a,"b"', "p/0.jpg", "p/1.jpg"]])
    read = experiments.listed(file.getvalue().encode(), lambda name: name.encode())
    assert read == {'a,"b"': (b"data/evaluate/p/0.jpg", b"data/evaluate/p/1.jpg")}
