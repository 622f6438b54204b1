"""Redraws with OpenVINO, two to five times as fast, and with another stylizer where OpenVINO fails."""

import threading
from collections.abc import Sequence

import psutil

from pipeline.core.errors import log
from pipeline.inference.openvino_engine import OpenVinoEngine
from pipeline.inference.stylizer import Stylizer, check_memory
from pipeline.media import arrays
from pipeline.media.images import Picture

BYTES_PER_PIXEL = 1000.0
"""Peak memory of a graph compiled for any size, which takes half as much again as one for the picture's own: genga-xs 343,
genga-s 456, genga-m 638, cartoongan 359, animegan-v2 582, mnicnc404-light 641 (measured)."""


class OpenVinoStylizer(Stylizer):
    """An OpenVINO graph with a fallback.

    Where the processor multiplies bfloat16 natively, the learned layers run in it. Results of the `genga` generators are then
    within two levels of PyTorch's (but for pictures of a few pixels); generators that repaint the whole picture differ by
    more (docs/results.md).
    """

    def __init__(self, graph: bytes, fallback: Stylizer, threads: int = 0) -> None:
        """Compile a generator's graph.

        Args:
            graph: the ONNX file of the generator that `fallback` runs.
            fallback: redraws what OpenVINO fails at.
            threads: number of threads to use; 0 for one per core.

        Raises:
            UserError: OpenVINO cannot run the graph.
        """
        self._engine = OpenVinoEngine(graph, threads)
        self._fallback = fallback
        self._lock = threading.Lock()
        self.max_megapixels = fallback.max_megapixels
        self.metadata = fallback.metadata

    @property
    def identity(self) -> str:
        """See `Stylizer.identity`."""
        return f"{self._fallback.identity}-{self._engine.precision}"

    def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """See `Stylizer.stylize_batch`."""
        if not pictures:
            return []
        height, width = arrays.check_batch(pictures, self.max_megapixels)
        check_memory(height, width, BYTES_PER_PIXEL, psutil.virtual_memory().available)
        with self._lock:
            try:
                drawings = [self._engine(picture) for picture in pictures]
                if {drawing.shape for drawing in drawings} != {(height, width, 3)}:
                    raise RuntimeError(f"it gives pictures of another size ({drawings[0].shape})")
                return drawings
            except RuntimeError as error:  # out of memory, which other programs may have taken meanwhile
                log.info("OpenVINO failed (%s): redrawing without it", " ".join(str(error).split())[:160])
            self._engine.release_memory()
        return self._fallback.stylize_batch(pictures)

    def prepare(self, height: int, width: int) -> None:
        """See `Stylizer.prepare`."""
        with self._lock:
            self._engine.compile_for(height, width)
