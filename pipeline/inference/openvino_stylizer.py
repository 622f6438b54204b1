"""A stylizer that is quicker on a processor where much is to come: by OpenVINO (`pipeline.inference.openvino`) what memory holds whole."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence

import torch
from torch import nn

from models.generators.table import Generator
from pipeline.core.errors import UserError
from pipeline.inference import graph_cache, openvino
from pipeline.inference.openvino import LARGE_PIXELS, Engine
from pipeline.inference.stylizer import Stylizer
from pipeline.media import arrays
from pipeline.media.images import Picture

WORTH_PREPARING_MEGAPIXELS = 12.0
OF_ANY_SIZE = 1.5
"""How much more memory a graph of any size takes than one of the picture's."""

log = logging.getLogger("genga")


class OpenVinoStylizer:
    """As the `Stylizer` it is given until `accelerate` is called. Threads may share one; their calls wait for one another."""

    def __init__(self, exact: Stylizer) -> None:
        self._exact = exact
        self._engine: Engine | None = None
        self._turn = threading.Lock()
        self.max_megapixels = exact.max_megapixels
        self.metadata = exact.metadata

    def __call__(self, picture: Picture) -> Picture:
        """Redraw one picture: uint8 RGB HxWx3, H and W from 1 up, to the same size.

        Raises:
            UserError: as of `Stylizer`.
        """
        return self.batch([picture])[0]

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Redraw pictures of one size together, in order; the limit holds for each."""
        if self._engine is None or not pictures:
            return self._exact.batch(pictures)
        size = arrays.check_batch(pictures, self.max_megapixels)
        with self._turn:
            try:
                if self._fits(*size):
                    return [self._engine(picture) for picture in pictures]
            except RuntimeError as error:  # of memory, which others may have taken meanwhile
                log.info("OpenVINO gave up (%s); PyTorch draws", " ".join(str(error).split())[:160])
            self._engine.release()
        return self._exact.batch(pictures)

    def accelerate(self, megapixels: float = math.inf) -> None:
        """From now on redraw by OpenVINO, where that pays: two to five times as fast.

        Where the processor multiplies bfloat16 natively the network works in it. Generators of ours draw the same within two
        levels, but for pictures of a few pixels; those that paint anew differ by more (docs/results.md). Nothing changes on a
        GPU, and where OpenVINO is not installed.

        Args:
            megapixels: that are to come. A network is prepared once, which takes some twenty seconds: for less than
                `WORTH_PREPARING_MEGAPIXELS` it is not, but one that is prepared is used.
        """
        exact, digest = self._exact, self._exact.identity
        if self._engine is not None or exact.device.type != "cpu" or not graph_cache.able(exact.module):
            return
        if megapixels < WORTH_PREPARING_MEGAPIXELS and not graph_cache.kept(digest):
            return
        if not openvino.available():
            log.info("OpenVINO is not installed; with it redrawing takes a third of the time here: pip install 'genga[export]'")
            return
        for again in (False, True):
            try:
                self._engine = Engine(graph_cache.graph_of(exact.module, digest), torch.get_num_threads())
                return
            except (UserError, RuntimeError) as error:  # the latter of torch's tracing
                graph_cache.forget(digest)  # it may have been damaged
                if again:
                    log.info("%s; PyTorch draws", error)

    def expect(self, height: int, width: int) -> None:
        """Say that many pictures of this size are to come, so that what `accelerate` set up is made ready for them."""
        if self._engine is not None and self._fits(height, width):
            with self._turn:
                self._engine.expect(height, width)

    def _fits(self, height: int, width: int) -> bool:
        pixels = height * width
        takes = _bytes_a_pixel(self._exact.module) * (1.0 if pixels >= LARGE_PIXELS else OF_ANY_SIZE)
        return self._exact.free_bytes() >= takes * pixels

    @property
    def identity(self) -> str:
        """Digest of the network, its weights and its arithmetic: equal for equal results."""
        return self._exact.identity if self._engine is None else f"{self._exact.identity}-{self._engine.precision}"


def _bytes_a_pixel(module: nn.Module) -> float:
    """Of memory for a picture, by a graph of its size: the peak of the process over what it held before.

    Measured: genga-xs 343, genga-s 456, genga-m 638; cartoongan 359, animegan-v2 582, mnicnc404-light 641.
    """
    return 290 + 12 * module.size.width if isinstance(module, Generator) and module.size.residual else 650
