"""Stage: turn each photo crop of a source into a pseudo-target, by the filter that stage `style_profile` chose.

python -m pipeline.pseudo_targets NAME        a name under footage: in params.yaml, or photos
"""

from __future__ import annotations

from pathlib import Path

from pipeline.core import manifest, stage
from pipeline.dataset import pairs
from pipeline.filters.profile import read_profile
from pipeline.filters.pseudo_target import PseudoTargetFilter
from pipeline.params.schema import Params, load


def run(params: Params, out: Path, source: str, data: Path = stage.DATA) -> dict[str, float]:
    """Write a pseudo-target under the name of each photo crop of a source, manifest.jsonl, and a contact sheet of pairs.

    With pseudo_targets.filter none there are no pictures, and the manifest is empty.
    """
    if params.pseudo_targets.filter == "none":
        manifest.write(out, [])
        return {"pictures": 0}
    crops = manifest.kept(manifest.read(data / "crop" / stage.ABOUT / "photo" / source))
    transform = PseudoTargetFilter.of_profile(read_profile(data), params.pseudo_targets)
    return {"pictures": pairs.write_pairs("pseudo_targets", source, crops, transform, out, data, params.workers)}


if __name__ == "__main__":
    stage.main_of_source("pseudo_targets", run, load, "a name under footage: in params.yaml, or photos")
