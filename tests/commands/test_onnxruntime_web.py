"""onnxruntime-web: what npm brings is checked, and an unpacked package may stand in for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.commands import onnxruntime_web
from pipeline.core.errors import UserError


def fake_npm(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin:/bin")


def test_what_npm_brings_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = f"{onnxruntime_web.PACKAGE}-{onnxruntime_web.VERSION}.tgz"
    fake_npm(f"echo evil > {archive}", tmp_path, monkeypatch)
    with pytest.raises(UserError, match="brought something else"):
        onnxruntime_web.fetch(tmp_path / "cache")
    fake_npm("echo no network >&2; exit 1", tmp_path, monkeypatch)
    with pytest.raises(UserError, match=r"could not fetch .*no network"):
        onnxruntime_web.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_npm_the_alternatives_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"install Node\.js, or give --runtime"):
        onnxruntime_web.fetch(tmp_path / "cache")


def test_an_unpacked_package_must_be_whole_and_of_the_right_version(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.0.0"}')
    with pytest.raises(UserError, match="no unpacked onnxruntime-web"):
        onnxruntime_web.read_package(tmp_path)
    (tmp_path / "dist").mkdir()
    for name in onnxruntime_web.FILES:
        (tmp_path / "dist" / name).write_text(name)
    with pytest.raises(UserError, match=r"1\.0\.0: give onnxruntime-web 1\.30\.0"):
        onnxruntime_web.read_package(tmp_path)
    (tmp_path / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.30.0"}')
    assert onnxruntime_web.read_package(tmp_path) == {name: name.encode() for name in onnxruntime_web.FILES}
