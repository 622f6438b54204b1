"""The whole pipeline, run by DVC on a small sample: which stages run, which are not repeated, and what they make."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import manifest
from pipeline.evaluate import SCORES
from pipeline.media import images
from pipeline.params.schema import load
from tests.conftest import ROOT, run_stage, scene, write_film
from tests.support.clone import Project, ran

pytestmark = pytest.mark.slow

STAGES = [
    "sample",
    "sources",
    "keyframes@sample",
    "photo_index",
    "dedup",
    "crop@sample",
    "crop_photos@photos",
    "edge_smooth@sample",
    "split",
    "report",
    "pretrain",
    "train",
    "evaluate",
    "predict",
    "export",
]


DATA_STAGES = [
    ("sample", None),
    ("sources", None),
    ("keyframes", "sample"),
    ("photo_index", None),
    ("dedup", None),
    ("crop", "anime/sample"),
    ("crop", "photo/photos"),
    ("edge_smooth", "sample"),
    ("split", None),
    ("report", None),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("clone"))
    assert sorted(made.repro()) == sorted(STAGES)
    return made


def test_a_fresh_clone_turns_a_film_and_photographs_into_pictures(project: Project) -> None:
    rows = manifest.kept(project.rows("predict"))
    assert rows
    for row in rows:
        picture = images.read(project.folder / (row.file or ""))
        assert picture.shape[:2] == (row.height_px, row.width_px)
    originals = {row.id: row for row in project.rows("split") if row.split == "pred"}
    assert {row.parent for row in rows} >= set(originals)
    for name in (
        "data/predict/sheet.jpg",
        "data/evaluate/grid.jpg",
        "data/evaluate/index.html",
        "data/train/generator.safetensors",
        "data/crop/about/anime/sample/sheet.jpg",
        "data/report/index.html",
        "data/export/README.md",
    ):
        assert (project.folder / name).stat().st_size > 0


def test_every_crop_can_be_traced_to_its_second_of_the_film(project: Project) -> None:
    truth = json.loads((project.folder / "data/sample/truth.json").read_text())
    frames = {row.id: row for row in project.rows("dedup")}
    crops = [row for row in project.rows("split") if row.domain == "anime"]
    assert len(crops) > 20
    by_time = {(shot["start_s"], shot["end_s"]): shot["kind"] for shot in truth["shots"]}
    for row in crops:
        frame = frames[row.parent or ""]
        assert frame.parent == "data/sample/film.mp4" and frame.time_s == row.time_s
        kinds = [kind for (start, end), kind in by_time.items() if start <= (row.time_s or 0) < end]
        assert kinds and kinds[0] not in ("black", "credits"), row


def test_every_row_has_the_digest_of_its_picture(project: Project) -> None:
    sources = ["keyframes/about/sample", "crop/about/anime/sample", "crop/about/photo/photos"]
    for stage in [
        *sources,
        "edge_smooth/about/sample",
        "photo_index",
        "dedup",
        "split",
        "predict",
    ]:
        rows = [row for row in project.rows(stage) if row.file]
        assert rows and all(row.digest for row in rows), stage
        assert {manifest.file_of(row, project.folder) for row in rows} == {project.folder / str(row.file) for row in rows}


def test_nothing_to_do_runs_nothing(project: Project) -> None:
    assert project.repro() == []


def test_git_sees_nothing_of_what_stages_made(project: Project) -> None:
    changed = project.run("git", "status", "--porcelain").split()
    assert [name for name in changed if name.startswith("data")] == []


def weight_of(state: Any) -> float:
    return float(state["data"]["params"]["params.yaml"]["data"]["loss"]["content_weight"])


def scores_of(state: Any) -> Any:
    return state["data"]["metrics"]["data/evaluate/scores.json"]["data"]


def test_a_loss_weight_repeats_training_and_what_follows_only(project: Project) -> None:
    project.run("git", "add", "dvc.lock")
    project.run("git", "commit", "-q", "-m", "first run")
    before = (project.folder / "data/train/generator.safetensors").read_bytes()
    before_scores = project.json("data/evaluate/scores.json")
    output = project.run("dvc", "exp", "run", "-S", "loss.content_weight=1.75")
    assert sorted(ran(output)) == ["evaluate", "export", "predict", "train"]
    assert (project.folder / "data/train/generator.safetensors").read_bytes() != before
    # The baseline, committed before, keeps its own numbers beside those of the experiment.
    committed, varied = (
        json.loads(project.run("dvc", "exp", "show", "--json"))[1],
        load(ROOT / "params.yaml").loss.content_weight,
    )
    states = [committed, committed["experiments"][0]["revs"][0]]
    assert [weight_of(state) for state in states] == [varied, 1.75]
    assert [scores_of(state) for state in states] == [before_scores, project.json("data/evaluate/scores.json")]
    assert before_scores != project.json("data/evaluate/scores.json") and before_scores.keys() <= set(SCORES)
    project.run("dvc", "plots", "show", "-o", "page")
    page = (project.folder / "page" / "index.html").read_text()
    assert "images seen" in page and "loss term before its weight" in page
    assert list((project.folder / "page" / "static").glob("*grid.jpg"))
    assert len(list((project.folder / "page" / "static").iterdir())) <= 6
    shutil.rmtree(project.folder / "page")
    project.set({"loss.content_weight": load(ROOT / "params.yaml").loss.content_weight})
    assert project.repro() == [], "earlier results come from the run cache"
    assert (project.folder / "data/train/generator.safetensors").read_bytes() == before


def test_changed_pictures_repeat_the_stages_that_read_them_by_their_manifests_alone(project: Project) -> None:
    def rows() -> list[dict[str, Any]]:
        return [row.model_dump(exclude={"digest"}) for row in project.rows("edge_smooth/about/sample")]

    before, variant = rows(), load(ROOT / "params.yaml").edge_smooth.variant
    project.set({"edge_smooth.variant": "overlay" if variant == "blend" else "blend"})
    assert ran(project.run("dvc", "repro", "edge_smooth@sample")) == ["edge_smooth@sample"]
    assert rows() == before, "only the pictures changed"
    waiting = json.loads(project.run("dvc", "status", "--json"))
    changed = {name: entries[0]["changed deps"] for name, entries in waiting.items()}
    assert changed.keys() == {"report", "train"}, "the stages that read them"
    assert all(deps["data/edge_smooth/about"] == "modified" for deps in changed.values())
    project.set({"edge_smooth.variant": variant})
    assert project.repro() == []


def test_deleted_and_damaged_pictures_are_restored_before_they_are_read(project: Project) -> None:
    before, blur_px = project.contents("crop"), load(ROOT / "params.yaml").edge_smooth.blur_px
    bytes_before = {name: content for name, (content, _) in before.items()}
    crops = [project.folder / str(row.file) for row in manifest.kept(project.rows("crop/about/anime/sample"))]
    crops[0].unlink()
    crops[1].write_bytes(crops[2].read_bytes())
    project.set({"edge_smooth.blur_px": blur_px + 2})
    assert ran(project.run("dvc", "repro", "edge_smooth@sample")) == ["edge_smooth@sample"], "crops come from the cache"
    assert {name: content for name, (content, _) in project.contents("crop").items()} == bytes_before
    md5 = hashlib.md5(crops[0].read_bytes(), usedforsecurity=False).hexdigest()
    (project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    crops[0].unlink()
    assert ran(project.run("dvc", "repro", "edge_smooth@sample")) == ["crop@sample"], (
        "gone from the cache too, it is cropped again"
    )
    assert {name: content for name, (content, _) in project.contents("crop").items()} == bytes_before
    project.set({"edge_smooth.blur_px": blur_px})
    assert project.repro() == []


def test_experiments_and_clones_check_out_the_pictures_that_stages_read(project: Project, tmp_path: Path) -> None:
    project.run("git", "commit", "-q", "--allow-empty", "-a", "-m", "what ran")
    blur_px = load(ROOT / "params.yaml").edge_smooth.blur_px + 6
    output = project.run("dvc", "exp", "run", "--temp", "-S", f"edge_smooth.blur_px={blur_px}", "edge_smooth@sample")
    assert ran(output) == ["sources", "edge_smooth@sample"], "with its inputs checked out"

    clone = copy.copy(project)
    clone.folder = tmp_path / "clone"
    project.run("git", "clone", "-q", ".", str(clone.folder))
    clone.run("dvc", "remote", "add", "--default", "other", str(project.folder / ".dvc/cache"))
    clone.set({"edge_smooth.blur_px": blur_px + 2})
    output = clone.run("dvc", "repro", "--pull", "--allow-missing", "edge_smooth@sample", status=1)
    assert re.search(r"data/crop/pictures/anime/sample/.*\.png is missing: run dvc repro split, .*dvc pull", output)
    clone.run("dvc", "pull")
    assert clone.contents("crop", "keyframes").keys() == project.contents("crop", "keyframes").keys()
    assert ran(clone.run("dvc", "repro", "edge_smooth@sample")) == ["sources", "edge_smooth@sample"]


def test_training_again_gives_the_same_bytes(project: Project) -> None:
    weights = project.folder / "data/train/generator.safetensors"
    before = weights.read_bytes()
    output = project.run("dvc", "repro", "--force", "--single-item", "train")
    assert ran(output) == ["train"]
    assert weights.read_bytes() == before


def test_a_temporary_experiment_resumes_one_that_was_killed(project: Project) -> None:
    project.run("git", "commit", "-q", "--allow-empty", "-a", "-m", "what ran")
    longer = ("-S", "train.images=120", "-S", "train.checkpoint_every_images=8", "train")
    with project.start("dvc", "exp", "run", "--temp", *longer) as process:
        while not list(project.folder.glob(".work/train/*/[0-9]*/state.json")):
            assert process.poll() is None, "the run ended before it could be killed: increase train.images"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert re.search(r"resuming at images [1-9]", project.run("dvc", "exp", "run", "--temp", *longer))
    assert not list(project.folder.glob(".work/train/*/[0-9]*/state.json"))


def test_adding_renaming_and_removing_a_film_repeats_only_what_depends_on_it(project: Project) -> None:
    def frames() -> Any:
        for shot in range(4):
            for step in range(24):
                yield scene(40 + shot, 480, 270, shift=step)

    write_film(project.folder / "data/films/mine.mp4", frames())
    alone, lists = project.rows("dedup"), project.contents("dedup/sample", "dedup/photos")
    sources = ("keyframes/{}/sample", "crop/{}/anime/sample", "crop/{}/photo", "edge_smooth/{}/sample")
    old = ("photo_index", "pretrain", *(place.format(part) for place in sources for part in ("pictures", "about")))
    made, trained = project.contents(*old), project.contents("train", "evaluate", "predict", "export")
    assert len(made) > 100
    # Listed before the other film, none of whose frames it may displace.
    project.set({"films": {"mine": "data/films/mine.mp4", "sample": "data/sample/film.mp4"}})
    own = ["keyframes@mine", "crop@mine", "edge_smooth@mine"]
    assert sorted(ran(project.run("dvc", "repro", "split", own[-1]))) == sorted([*own, "sources", "dedup", "split"])
    assert json.loads(project.run("dvc", "status", "--json")).keys() == {"report", "train", "evaluate", "predict", "export"}
    assert project.contents(*old) == made, "existing files were not even rewritten"
    rows = project.rows("dedup")
    assert {row.source for row in rows} == {"sample", "mine", "photos"}
    assert [row for row in rows if row.source != "mine"] == alone
    assert {name: one for name, (one, _) in project.contents("dedup/sample", "dedup/photos").items()} == {
        name: one for name, (one, _) in lists.items()
    }
    assert {row.source for row in project.rows("split") if row.domain == "anime"} == {"sample", "mine"}
    assert not project.run("git", "status", "--porcelain", "data").strip()

    project.set({"films": {"sample": "data/sample/film.mp4", "renamed": "data/films/mine.mp4"}})
    assert sorted(ran(project.run("dvc", "repro", "split"))) == [
        *("crop@renamed", "dedup", "keyframes@renamed", "sources", "split")
    ]
    assert {row.source for row in project.rows("split") if row.domain == "anime"} == {"sample", "renamed"}
    for part in ("pictures", "about"):
        for folder in (f"keyframes/{part}", f"crop/{part}/anime"):
            assert sorted(os.listdir(project.folder / "data" / folder)) == ["renamed", "sample"]
        assert os.listdir(project.folder / "data/edge_smooth" / part) == ["sample"]

    project.set({"films": {"sample": "data/sample/film.mp4"}})
    assert project.repro() == ["sources", "dedup"], "all later stages come from the run cache"
    assert project.rows("dedup") == alone and project.contents(*old) == made
    assert {name: one for name, (one, _) in project.contents("train", "evaluate", "predict", "export").items()} == {
        name: one for name, (one, _) in trained.items()
    }


def test_the_lists_of_pictures_to_keep_and_drop_are_dependencies(project: Project) -> None:
    before = project.rows("dedup")
    victim = next(row.id for row in before if row.reason is None and row.domain == "anime")
    path = project.folder / "data/drop.txt"
    text = path.read_text()
    path.write_text(f"{text}{victim}\n")
    assert ran(project.run("dvc", "repro", "dedup")) == ["dedup"]
    assert {row.id: row.reason for row in project.rows("dedup")}[victim] == "by_hand"
    path.unlink()
    assert "data/drop.txt" in project.run("dvc", "repro", status=1)
    path.write_text(text)
    assert project.repro() == [] and project.rows("dedup") == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"films": {"gone": "data/films/gone.mkv"}}, "data/films/gone.mkv"),
        ({"crop.size_px": -64}, "crop.size_px"),
        ({"films": {}, "photos": "data/films"}, "there is neither film nor photo"),
    ],
)
def test_bad_input_is_reported_in_one_line_and_changes_nothing(changes: dict[str, Any], message: str, project: Project) -> None:
    params = (project.folder / "params.yaml").read_bytes()
    lock = (project.folder / "dvc.lock").read_bytes()
    project.set(changes)
    output = project.run("dvc", "repro", status=1)
    (project.folder / "params.yaml").write_bytes(params)
    assert message in output
    assert "Traceback" not in output
    assert not [path for path in (project.folder / "data/.partial").rglob("*") if path.is_file()]
    (project.folder / "dvc.lock").write_bytes(lock)
    project.run("dvc", "checkout", "--force")
    assert set(project.repro()) <= {"sources"}  # which looks for films and leaves nothing to check out


def test_data_stages_give_the_same_bytes_in_another_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Project(tmp_path)
    other.set({"workers": 1})
    monkeypatch.chdir(tmp_path)
    params = load()
    for name, source in DATA_STAGES:
        run_stage(name, params, source)  # as DVC does, but for starting a process
    for stage in (
        "sample",
        "keyframes",
        "photo_index",
        "dedup",
        "crop",
        "edge_smooth",
        "split",
        "report",
    ):
        here, there = (
            {path.relative_to(root): path.read_bytes() for path in sorted((root).rglob("*")) if path.is_file()}
            for root in (project.folder / "data" / stage, tmp_path / "data" / stage)
        )
        assert len(here) >= 2
        assert here == there, stage


def test_every_hard_cut_of_the_sample_is_found(project: Project) -> None:
    truth = json.loads((project.folder / "data/sample/truth.json").read_text())
    with (project.folder / "data/keyframes/about/sample/shots.csv").open(newline="") as file:
        starts = [float(line["start_s"]) for line in csv.DictReader(file)]
    frame_s = 1 / truth["fps"]
    assert len(truth["cuts_s"]) >= 12
    missed = [cut for cut in truth["cuts_s"] if min(abs(cut - start) for start in starts) > 0.6 * frame_s]
    assert missed == []
    softer = [*truth["fades"], *truth["dissolves"], *truth["flash"]]
    edges = [truth["cuts_s"], *([one["start_s"], one["end_s"]] for one in softer)]
    known = [0.0, *(shot["start_s"] for shot in truth["shots"]), *(second for pair in edges for second in pair)]
    invented = [start for start in starts if min(abs(start - second) for second in known) > 6 * frame_s]
    assert invented == [], "a boundary where there is none"


def test_no_frame_of_a_transition_and_no_black_frame_or_credits_are_kept(project: Project) -> None:
    truth = json.loads((project.folder / "data/sample/truth.json").read_text())
    kept = manifest.kept(project.rows("dedup"), "anime")
    kinds = [(shot["start_s"], shot["end_s"], shot["kind"], shot["repeats"]) for shot in truth["shots"]]
    shown: set[int] = set()
    for row in kept:
        second = row.time_s or 0.0
        index = next(n for n, (start, end, *_) in enumerate(kinds) if start <= second < end)
        shown.add(index)
        assert kinds[index][2] in ("scene", "title")
        for span in [*truth["dissolves"], *truth["flash"]]:
            assert not span["start_s"] <= second < span["end_s"], (second, span)
    repeats = {n for n, kind in enumerate(kinds) if kind[3] is not None}
    originals = {kinds[n][3] for n in repeats}
    assert repeats and not (repeats & shown and originals & shown), "a shot and its repeat were both kept"
    scenes = {n for n, kind in enumerate(kinds) if kind[2] == "scene"}
    assert scenes - repeats - originals <= shown, "a scene is not represented"


def test_bars_are_cut_off_to_the_pixel(project: Project) -> None:
    truth = json.loads((project.folder / "data/sample/truth.json").read_text())
    boxes = {row.box for row in project.rows("keyframes/about/sample")}
    assert boxes == {tuple(truth["active_box"])}
