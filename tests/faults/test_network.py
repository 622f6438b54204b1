"""Everything works where no other machine answers, and asks none."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from pipeline.media import images
from tests.conftest import scene
from tests.support.clone import Project

NETWORK = """
set -e
ip link add out type veth peer name far
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip address add 10.9.0.1/16 dev out
for link in lo out far; do ip link set "$link" up; done
ip route add default via 10.9.0.2 dev out onlink
"$@"
awk '$1 == "out:" { print $11 }' /proc/net/dev > packets.txt
"""
"""Runs a command with a network on which nobody answers, and counts the packets that it sent there."""


def has_namespaces() -> bool:
    command = ["unshare", "-rn", "sh", "-c", NETWORK, "sh", "true"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(command, check=False, cwd=folder, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(
        not has_namespaces(), reason="no name space with a network of its own can be made here (unshare -rn, ip)"
    ),
]


def test_pipeline_and_verbs_ask_no_other_machine(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.set({"export.files": ["onnx"]})
    images.write(project.folder / "photo.png", scene(1, 320, 240))

    def run(*command: str) -> str:
        output = project.run("unshare", "-rn", "sh", "-c", NETWORK, "sh", *command)
        assert (project.folder / "packets.txt").read_text() == "0\n", f"{command} wants something of other machines"
        return output

    assert "Running stage 'export'" in run("dvc", "repro")
    run("genga", "stylize", "photo.png", "-o", "redrawn")
    run("genga", "stylize", "photo.png", "-m", "data/export/generator.onnx", "--exact", "-o", "by_onnxruntime")
    assert (project.folder / "redrawn/photo.png").is_file()
    for command in (
        ("genga", "--version"), ("genga", "use"), ("genga", "doctor"), ("genga", "watch", "--once"),
        ("genga", "pack", "shards"), ("genga", "evaluate", "data/train/generator.safetensors", "-o", "evaluation"),
        ("genga", "export", "data/train/generator.safetensors", "-o", "exported"),
    ):  # fmt: skip
        run(*command)
