"""Redraws with OpenVINO the pictures that fit in memory, two to five times as fast, and leaves the rest to another stylizer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from pipeline.inference.openvino_engine import OpenVinoEngine
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays
from pipeline.media.images import Picture

log = logging.getLogger("genga")


class OpenVinoStylizer(Stylizer):
    """An OpenVINO graph with a fallback.

    Where the processor multiplies bfloat16 natively, the learned layers run in it. Results of the `genga` generators are then
    within two levels of PyTorch's (but for pictures of a few pixels); generators that repaint the whole picture differ by
    more (docs/results.md).
    """

    def __init__(
        self, graph: bytes, fallback: Stylizer, threads: int = 0, fits_in_memory: Callable[[int], bool] | None = None
    ) -> None:
        """Compile a generator's graph.

        Args:
            graph: the ONNX file of the generator that `fallback` runs.
            fallback: redraws what does not fit in memory.
            threads: number of threads to use; 0 for one per core.
            fits_in_memory: whether a picture of so many pixels fits in memory now; None if all do.

        Raises:
            UserError: OpenVINO cannot run the graph.
        """
        self._engine = OpenVinoEngine(graph, threads)
        self._fallback = fallback
        self._fits_in_memory = fits_in_memory or (lambda pixels: True)
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
        with self._lock:
            try:
                if self._fits_in_memory(height * width):
                    return [self._engine(picture) for picture in pictures]
            except RuntimeError as error:  # out of memory, which other programs may have taken meanwhile
                log.info("OpenVINO failed (%s): redrawing without it", " ".join(str(error).split())[:160])
            self._engine.release_memory()
        return self._fallback.stylize_batch(pictures)

    def prepare(self, height: int, width: int) -> None:
        """See `Stylizer.prepare`."""
        if self._fits_in_memory(height * width):
            with self._lock:
                self._engine.compile_for(height, width)
