"""Stage: check that every film and photograph that params.yaml names is on this machine, before any stage reads one.

    python -m pipeline.sources

DVC removes what a stage made before it runs the stage again, and finds only then that a film is missing. So every stage that
reads films or photographs depends on this one, whose output is in no cache: a clone with fetched data (`dvc pull`) stops here.
The output is always the same, so that a new film repeats nothing but its own stages.
"""

from pathlib import Path

from pipeline.core import stage
from pipeline.core.errors import UserError
from pipeline.params.schema import Params, is_sample, load


def missing(params: Params) -> list[str]:
    """List the sources that do not exist, each as its key and path ("films.NAME: PATH"); empty if all are there."""
    named = {
        **{f"films.{name}": path for name, path in params.films.items()},
        **{f"footage.{name}": path for name, path in params.footage.items()},
        "photos": params.photos,
        "teacher": params.teacher,
        "loss.style_images": params.loss.style_images,
        "predict.input": params.predict.input,
    }
    absent = {key: path for key, path in named.items() if not Path(path).expanduser().exists()}
    undrawn = {path for path in absent.values() if is_sample(path) and not params.sample.draw}
    return [f"{key}: {path}{' (not drawn: set sample.draw to true)' * (path in undrawn)}" for key, path in absent.items()]


def run(params: Params, out: Path) -> dict[str, float]:
    """Write nothing.

    Raises:
        UserError: sources do not exist; all are named, with what can be done without them.
    """
    if absent := missing(params):
        raise UserError(
            "\n  ".join(["not on this machine:", *absent])
            + "\nput them there, or correct their paths in params.yaml. Without them, to go on with what dvc pull brought: "
            "dvc repro --allow-missing (so too dvc exp run, and always with --queue and --temp)"
        )
    return {}


if __name__ == "__main__":
    stage.main("sources", run, load)
