"""`genga sweep`: experiments of a real repository on one page, and the page in a browser."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import experiments, sweep
from pipeline.commands.experiments import Experiment, Pictures
from pipeline.core.errors import UserError
from pipeline.media import images
from tests.support.browser import browse
from tests.support.dvc_project import HOSTILE, Project, project

__all__ = ["project"]

PHOTOS = ("photos/cat@1", "photos/<i>dog</i>@2")
WORKSPACE = Experiment("workspace", None, {"x": 1.0}, {}, "not run")


def table_of(html: str) -> list[list[str]]:
    """The first cells of each row of the table of numbers, as written."""
    body = html.split('id="numbers"')[1].split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r'data-value="([^"]*)"', row) for row in body.split("</tr>") if "<tr" in row]


def test_experiments_are_in_the_order_of_the_varied_parameter(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "pages/sweep.html"
    found = sweep.run(out, project=project.folder)
    assert found.params == ["loss.style_weight"]
    assert [(row.name, row.params) for row in found.rows] == [
        ("workspace", [3]),
        ("first", [1]),
        (HOSTILE, [5]),
        ("last", [25]),
    ]
    assert "loss.form bce" in found.rows[0].note, "other differences of the workspace are named"
    assert {row.name: row.metrics["score"] for row in found.rows} == {
        "workspace": pytest.approx(1 / 3), "first": 0.2, HOSTILE: 1.0, "last": pytest.approx(1 / 21)
    }  # fmt: skip
    assert found.best is not None and found.best.name == HOSTILE
    assert [row.name for row in found.ordered] == ["first", "workspace", HOSTILE, "last"]
    assert found.pictures == {
        name: {"cat": (b"the photo", f"drawn by {weight}".encode())}
        for name, weight in (("first", 1), ("workspace", 3), (HOSTILE, 5), ("last", 25))
    }
    missing = {one.name: one for one in found.missing}
    assert missing.keys() == {"half", "queued"}
    assert "not evaluated" in missing["half"].problem
    assert "dvc queue start" in missing["queued"].problem
    html = out.read_text("utf-8")
    assert "<td>loss.style_weight=7</td>" in html
    assert [row[1] for row in table_of(html)] == ["3", "1", "5", "25"]
    assert "<b>" not in html.replace("<li><b>", "") and "&lt;b&gt;" in html
    assert "dvc exp apply &#39;a&#34;&lt;b&gt;&amp;" in html, "quoted for the shell"
    assert list(out.parent.iterdir()) == [out], "nothing half-written is left"
    # A page is replaced by the next.
    sweep.run(out, ["first", "l*"], project=project.folder)
    assert [row[0] for row in table_of(out.read_text("utf-8"))] == ["workspace", "first", "last"]


def open_databases() -> Counter[str]:
    """Count the databases that this process has open; other tests of the process may have left some."""
    return Counter(file.path for file in psutil.Process().open_files() if file.path.endswith(".db"))


def test_no_database_of_dvc_stays_open(project: Project, tmp_path: Path) -> None:
    """Hundreds of experiments would use up the open files that a process may have, until Python collects garbage."""
    gc.collect()
    gc.disable()
    before = open_databases()
    try:
        sweep.run(tmp_path / "sweep.html", project=project.folder)
        assert not open_databases() - before
    finally:
        gc.enable()


def test_the_table_for_a_terminal_is_sorted_and_fits_120_columns() -> None:
    def made(name: str, score: float, **params: Any) -> Experiment:
        return Experiment(name, name, params, {"score": score, "style_score": score, "style_score_error": 0.01})

    narrow = sweep.compare([WORKSPACE, made("low", 0.25, x=1.0), made("high", 0.5, x=2.0)])
    assert sweep.terminal_table(narrow) == [
        "experiment  x  score  style_score  +-     content_similarity",
        "high        2  0.500  0.500        0.010  -",
        "low         1  0.250  0.250        0.010  -",
    ]
    many = [made(f"{n}" * 40, n, **{f"loss.some_parameter_{key}": f"{n}" * 40 for key in "abcde"}) for n in range(3)]
    lines = sweep.terminal_table(sweep.compare([WORKSPACE, *many]))
    assert len(lines) == 4 and "some_parameter_a" in lines[0] and max(map(len, lines)) <= 120


def test_a_workspace_with_changed_params_has_no_metrics(project: Project) -> None:
    workspace = experiments.read_experiments(project.folder)[0]
    assert workspace.metrics and not workspace.problem and workspace.rev is None
    try:
        project.set(style_weight=4, form="bce")
        workspace = experiments.read_experiments(project.folder)[0]
        assert workspace.metrics == {} and "dvc repro" in workspace.problem
    finally:
        project.set(style_weight=3, form="bce")


def test_a_workspace_that_equals_an_experiment_has_no_row(project: Project) -> None:
    lock = (project.folder / "dvc.lock").read_bytes()
    try:
        project.set(style_weight=25)
        project.dvc("repro -q")
        found = sweep.compare(experiments.read_experiments(project.folder))
        assert [row.name for row in found.rows] == ["first", HOSTILE, "last"]
        assert "workspace" in found.rows[-1].note
    finally:
        project.set(style_weight=3, form="bce")
        (project.folder / "dvc.lock").write_bytes(lock)
        project.dvc("checkout -q --force")


def test_experiments_of_other_commits_need_the_option_all(project: Project, tmp_path: Path) -> None:
    clone = tmp_path / "project"
    shutil.copytree(project.folder, clone, symlinks=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "later"], cwd=clone, check=True)
    with pytest.raises(UserError, match=r"no experiments are based on this commit: .*--all"):
        sweep.run(tmp_path / "sweep.html", project=clone)
    assert len(sweep.run(tmp_path / "sweep.html", all_commits=True, project=clone).rows) == 4


def test_errors_say_what_to_do(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a DVC repository"):
        sweep.run(tmp_path / "sweep.html", project=tmp_path)
    with pytest.raises(UserError, match=r"no experiment is called nob\*; there are: .*first"):
        sweep.run(tmp_path / "sweep.html", ["nob*"], project=project.folder)
    with pytest.raises(UserError, match=r"(?s)no experiment has metrics.*half.*queued"):
        sweep.run(tmp_path / "sweep.html", ["half", "queued"], project=project.folder)
    with pytest.raises(UserError, match=r"\.html"):
        sweep.run(tmp_path / "params.yaml", project=project.folder)
    other = tmp_path / "mine.html"
    other.write_text("<h1>mine</h1>")
    with pytest.raises(UserError, match="was not written by genga sweep"):
        sweep.run(other, project=project.folder)
    assert other.read_text() == "<h1>mine</h1>"


def experiment(name: str, metrics: dict[str, float], **params: Any) -> Experiment:
    return Experiment(name, name, params, metrics)


def test_missing_metrics_leave_cells_empty_and_unused_columns_are_left_out() -> None:
    full = {"score": 0.4, "style_score": 0.3, "style_score_error": 0.1, "content_similarity": 0.8}
    found = sweep.compare([WORKSPACE, experiment("a", full, x=1.0), experiment("b", {"flicker": 2.0}, x=100.0)])
    assert [column.name for column in found.columns] == [
        "score",
        "style_score",
        "style_score_error",
        "content_similarity",
        "flicker",
    ]
    assert table_of(sweep.render_page(found))[1] == ["b", "100", "", "", "", "", "2.0"]
    assert found.best is not None and found.best.name == "a" and found.chart is not None and found.indistinguishable == 0
    assert sweep.describe_best(found, found.best) == "best by score: a (0.400); to apply it: dvc exp apply a"
    near = [experiment(name, {**full, "style_score": value}, x=value) for name, value in (("a", 0.3), ("b", 0.22), ("c", 0.1))]
    found = sweep.compare([WORKSPACE, *near])
    assert found.indistinguishable == 1 and "(1 of the others are this close)" in sweep.render_page(found)
    assert found.best is not None and "; 1 of the others are within its error: choose by eye; to" in sweep.describe_best(
        found, found.best
    )
    none = sweep.compare([WORKSPACE, experiment("a", {"flicker": 1.0}, x=1.0)])
    assert none.best is None and none.chart is None and "To apply it" not in sweep.render_page(none)


def test_many_varied_parameters_have_few_columns_and_no_chart() -> None:
    many = {f"p{index}": index for index in range(9)}
    found = sweep.compare(
        [WORKSPACE, experiment("a", {"score": 0.1}, **many), experiment("b", {"score": 0.2}, **dict.fromkeys(many, -1))]
    )
    assert len(found.params) == sweep.MAX_PARAMS and found.more_params == ["p6", "p7", "p8"]
    assert found.chart is None
    two = [experiment(f"{x}{y}", {"score": x}, x=x, y=y) for x in (0.1, 0.2, 0.3) for y in ("bce", "$hinge_$")]
    chart = sweep.compare([WORKSPACE, *two]).chart
    assert chart is not None
    assert chart.alt == "score against x, a line for each value of y"
    assert images.read(Path("chart.png"), data=chart.light).shape == (chart.height_px, chart.width_px, 3)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=3), st.lists(st.integers(0, 2))
)


@given(st.lists(VALUES, max_size=8))
def test_values_of_all_types_have_one_order(values: list[Any]) -> None:
    ordered = sorted(values, key=sweep.sort_key)
    assert [sweep.sort_key(value) for value in ordered] == sorted(map(sweep.sort_key, reversed(values)))
    numbers = [value for value in ordered if isinstance(value, int | float) and not isinstance(value, bool)]
    assert numbers == sorted(numbers) and ordered[: len(numbers)] == numbers, "numbers first, by size"
    assert all(value is None for value in ordered[len(ordered) - values.count(None) :])


def test_varied_params_are_those_whose_values_differ() -> None:
    one = experiment("one", {}, **{"b.y": 1, "b.list": [1, 2], "a": 1, "same": 1})
    other = experiment("other", {}, **{"b.y": 1.5, "b.list": [2, 1], "a": "1", "same": 1, "new": None, "only": 0})
    assert sweep.varied_params([one, other]) == ["b.y", "b.list", "a", "only"]


def test_the_page_is_used_by_keyboard(tmp_path: Path) -> None:
    def picture(level: int) -> bytes:
        return images.jpeg(np.full((64, 64, 3), level, np.uint8))

    swept = [
        experiment(name, {"score": score}, x=x) for name, x, score in (("a", 1.0, 0.2), (HOSTILE, 5.0, 0.9), ("c", 25.0, 0.1))
    ]
    swept.append(experiment("d", {"flicker": 1.0}, x=100.0))
    shots: dict[str, Pictures] = {
        one.name: {photo: (picture(10), picture(20 * index)) for photo in PHOTOS} for index, one in enumerate(swept[:3])
    }
    path = tmp_path / "sweep.html"
    path.write_text(sweep.render_page(replace(sweep.compare([WORKSPACE, *swept]), pictures=shots)), "utf-8")
    names = "[...document.querySelectorAll('#numbers tbody th')].map(e => e.dataset.value).join()"
    with browse(tmp_path / "profile") as page:
        page.set_window(390, 844)
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
        page.click(".picker input[type=checkbox]")
        assert page.run(shown) == "2,2"
        page.run("document.querySelector('.picker input[type=range]').focus()")
        page.send("Input.dispatchKeyEvent", type="rawKeyDown", key="ArrowRight", windowsVirtualKeyCode=39)
        assert HOSTILE in page.run("document.querySelector('.picker output').textContent")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways"
        assert page.errors == []
