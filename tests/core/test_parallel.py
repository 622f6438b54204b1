"""Work on a real cluster: the same bytes as on one machine even if workers die, and one line for every error."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import images
from tests.conftest import ROOT, scene

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[cluster]'")

pytestmark = pytest.mark.slow

PICTURES = 60
SOURCES = {"crop": "anime/s", "edge_smooth": "s"}


class Cluster:
    """A scheduler and workers, each started by the command that docs/scaling.md gives, each a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, code: Path = ROOT) -> None:
        environment = os.environ | {"PYTHONPATH": str(code), "DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False"}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(Path(sys.executable).parent / "dask"), *command],
                cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def scheduler(self) -> None:
        port = self.address.rsplit(":", 1)[1]
        self.start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        self.until("scheduler", "Scheduler at:")

    def worker(self, name: str, *more: str, code: Path = ROOT) -> None:
        self.start(name, "worker", self.address, "--nthreads", "1", "--no-dashboard", "--name", name, *more, code=code)

    def until(self, name: str, text: str, seconds: float = 60) -> None:
        wait(lambda: text in (self.folder / f"{name}.log").read_text(), f"{name}: {text}", seconds)

    def kill(self, name: str) -> None:
        """As when a machine goes: the worker and the nanny that would start it again."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.scheduler()
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with what `dedup` would have left: pictures to cut crops from."""
    root = tmp_path_factory.mktemp("project")
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    (root / "data/dedup/s").mkdir(parents=True)
    rows = []
    for index in range(PICTURES):
        name = f"p{index:03d}"
        images.write(root / f"{name}.png", scene(index, 640, 400))
        rows.append(Row(id=name, domain="anime", source="s", file=f"{name}.png", width_px=640, height_px=400, shot=name))
    manifest.write(root / "data/dedup/s", rows)
    return root


def start(project: Path, stage: str, address: str | None) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("GENGA_CLUSTER", None)
    if address:
        environment["GENGA_CLUSTER"] = address
    return subprocess.Popen(
        [sys.executable, "-m", f"pipeline.{stage}", SOURCES[stage]],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def outcome(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return text


def error_of(project: Path, address: str, stage: str = "crop") -> str:
    """Run a stage that fails; returns its error line."""
    process = start(project, stage, address)
    return ends_in_error(process, project, stage)


def ends_in_error(process: subprocess.Popen[str], project: Path, stage: str = "crop") -> str:
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 2, text
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith(f"{stage}/{SOURCES[stage]}: error: ")]
    assert len(lines) == 1, text
    assert not [path for path in (project / "data" / ".partial").rglob("*") if path.is_file()]
    return lines[0]


def written(project: Path) -> int:
    """How many crops there are so far."""
    return len(list((project / "data/.partial/crop").rglob("p*.png")))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_missing_scheduler_and_missing_workers_are_errors(cluster: Cluster, project: Path, tmp_path: Path) -> None:
    assert "no Dask scheduler answers at nonsense://x" in error_of(project, "nonsense://x")
    # Each waits ten seconds for somebody to come: side by side.
    other = Path(shutil.copytree(project, tmp_path / "other"))
    nobody, idle = start(project, "crop", "tcp://127.0.0.1:9"), start(other, "crop", cluster.address)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in ends_in_error(nobody, project)
    assert "has fewer than two workers: start some" in ends_in_error(idle, other)


def test_a_worker_killed_in_the_middle_changes_nothing(cluster: Cluster, project: Path) -> None:
    outcome(start(project, "crop", None))
    outcome(start(project, "edge_smooth", None))
    alone = contents(project / "data" / "crop"), contents(project / "data" / "edge_smooth")
    assert len(alone[0]) > 3 * PICTURES
    shutil.rmtree(project / "data" / "crop")
    shutil.rmtree(project / "data" / "edge_smooth")

    names = ["one", "two", "three"]
    for name in names:
        cluster.worker(name)
    for name in names:
        cluster.until(name, "Registered to:")
    with distributed.Client(cluster.address, set_as_default=False) as client:
        running = start(project, "crop", cluster.address)
        # A third of the way, when the worker has work in hand.
        victim = next(
            address for address, known in client.scheduler_info(n_workers=-1)["workers"].items() if known["name"] == "two"
        )
        wait(lambda: written(project) > len(alone[0]) // 3 and bool(client.processing()[victim]), "crops")
        cluster.kill("two")
        at_death = written(project)
    text = outcome(running)
    assert "3 workers of tcp://" in text
    assert at_death < 0.9 * len(alone[0]), "it died too late to matter"
    assert contents(project / "data" / "crop") == alone[0]
    assert not [path for path in (project / "data" / ".partial").rglob("*") if path.is_file()]
    assert "2 workers of tcp://" in outcome(start(project, "edge_smooth", cluster.address))
    assert contents(project / "data" / "edge_smooth") == alone[1]


def test_an_error_in_a_worker_is_the_error_of_the_stage(cluster: Cluster, project: Path) -> None:
    before = contents(project / "data" / "crop")
    (project / "p007.png").rename(project / "away.png")
    try:
        assert "p007.png does not exist" in error_of(project, cluster.address)
    finally:
        (project / "away.png").rename(project / "p007.png")
    assert contents(project / "data" / "crop") == before


def test_workers_with_other_code_or_folders_are_refused(cluster: Cluster, project: Path, tmp_path: Path) -> None:
    cluster.kill("three")
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "pipeline" / "crop.py").open("a") as file:
        file.write("\n# another day's code\n")
    cluster.worker("other", code=tmp_path)
    cluster.until("other", "Registered to:")
    assert re.search(r"has code \w+ instead of \w+: install the same versions there", error_of(project, cluster.address))
    cluster.kill("other")
    cluster.worker("crowded", "--nthreads", "2")
    cluster.until("crowded", "Registered to:")
    assert "start it with --nthreads 1" in error_of(project, cluster.address)


def test_a_scheduler_that_is_lost_is_an_error(cluster: Cluster, project: Path) -> None:
    before = contents(project / "data" / "crop")
    cluster.kill("crowded")
    cluster.worker("four")
    cluster.until("four", "Registered to:")
    running = start(project, "crop", cluster.address)
    wait(lambda: written(project) > 20, "crops")
    cluster.kill("scheduler")
    assert "was lost: start it and its workers again, and repeat this" in ends_in_error(running, project)
    assert contents(project / "data" / "crop") == before
