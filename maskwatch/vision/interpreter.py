"""The TFLite runtime, imported here only: ai-edge-litert, or tflite-runtime on old boards."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from maskwatch.errors import DependencyError, ModelError
from maskwatch.files import MIB, read_file

Dtype = Literal["uint8", "int8", "float32"]
MAX_MODEL: Final = 256 * MIB
_DTYPES: Final[dict[str, Dtype]] = {"uint8": "uint8", "int8": "int8", "float32": "float32"}
_MAX_OUTPUT: Final = 64 * 1024  # bytes that a pipe holds
_RUNTIMES: Final = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


@dataclass(frozen=True, slots=True)
class Tensor:
    """Shape, type and quantization of an input or output; a scale of 0 means not quantized."""

    shape: tuple[int, ...]
    dtype: Dtype
    scale: float
    zero_point: int


def _runtime() -> Any:
    for name in _RUNTIMES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise DependencyError(
        "no TFLite runtime is installed: expected ai-edge-litert (pip install ai-edge-litert), "
        "or on a board without it the extra maskwatch[tflite-runtime]"
    )


@contextmanager
def _without_info_lines() -> Iterator[None]:
    """Drop the INFO lines that the runtime writes to descriptor 2; pass all other output on.

    The runtime exports no function that sets its log level.
    """
    sys.stderr.flush()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)  # a child of another thread may hold the other end open
    stderr = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        try:
            written = os.read(reader, _MAX_OUTPUT)
        except BlockingIOError:
            written = b""
        os.close(reader)
        os.write(2, b"".join(x for x in written.splitlines(keepends=True) if x[:6] != b"INFO: "))


def load_delegate(library: str) -> Any:
    """Return the delegate of a shared library, which runs models on other hardware than the processor.

    Raises:
        DependencyError: it cannot be loaded.
    """
    try:
        return _runtime().load_delegate(library)
    except (OSError, ValueError, AttributeError) as error:
        reason = str(error).removeprefix(f"{library}: ") or "the library finds no device"
        raise DependencyError(f"{library}: {reason}") from None


def _prepared(model: bytes, threads: int, delegates: Sequence[Any] = ()) -> Any:
    """Return a runtime's interpreter, ready to run; without XNNPACK where that refuses the model."""
    runtime = _runtime()
    try:
        found = runtime.Interpreter(
            model_content=model, num_threads=threads, experimental_delegates=list(delegates) or None
        )
        found.allocate_tensors()
    except RuntimeError as error:
        if "XNNPACK" not in str(error):
            raise
        plain = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        found = runtime.Interpreter(
            model_content=model, num_threads=threads, experimental_op_resolver_type=plain
        )
        found.allocate_tensors()
    return found


_spares: list[tuple[bytes, Any]] = []
_keeping = False


@contextmanager
def kept_for_forks() -> Iterator[None]:
    """Keep what is loaded meanwhile: in a process that is forked from this one, it is loaded already.

    Each is given out once, for the same model.
    """
    global _keeping  # noqa: PLW0603 - of this process, as what it forks is
    _keeping = True
    try:
        yield
    finally:
        _keeping = False


def _loaded(model: bytes, threads: int, delegates: Sequence[Any] = ()) -> tuple[bytes, Any]:
    """Return the runtime's interpreter, and the bytes from which it reads throughout."""
    if threads == 1 and not delegates and not _keeping:
        for index, (kept, _) in enumerate(_spares):
            if kept == model:
                return _spares.pop(index)
    with _without_info_lines():
        found = _prepared(model, threads, delegates)
    if _keeping:
        _spares.append((model, found))
    return model, found


class Interpreter:
    """One loaded model with one input and one output; not safe to share between threads."""

    def __init__(
        self, model: bytes, name: str, threads: int = 1, *, delegates: Sequence[Any] = ()
    ) -> None:
        """Load `model`, the bytes of a .tflite file called `name`. Raises ModelError.

        `delegates`, of `load_delegate`, run what they can of it; the processor runs the rest.
        """
        try:
            self._model, self._interpreter = _loaded(model, threads, delegates)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{name}: not a TFLite model that can be loaded: {error}") from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{name}: expected one input and one output, found {len(inputs)} and {len(outputs)}"
            )
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = _tensor(inputs[0], name), _tensor(outputs[0], name)

    @classmethod
    def from_file(cls, path: Path, threads: int = 1) -> Interpreter:
        """Load a .tflite file. Raises ModelError where it cannot be read."""
        try:
            return cls(read_file(path, MAX_MODEL), path.name, threads)
        except OSError as error:
            raise ModelError(f"{path}: cannot read the model: {error.strerror}") from error

    def run(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return float32 outputs (n, classes), dequantized, for `batch` (n, size, size, 3).

        A uint8 input gets the RGB values, a float input ``x / 127.5 - 1``, an int8 input
        ``x - 128``.
        """
        rows = [self._one(image[None]) for image in batch]
        return np.concatenate(rows) if rows else np.zeros((0, self.output.shape[-1]), np.float32)

    def _one(self, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self._interpreter.set_tensor(self._input_index, _as_input(image, self.input.dtype))
        self._interpreter.invoke()
        out = self._interpreter.get_tensor(self._output_index)
        if self.output.scale == 0:
            return np.asarray(out, np.float32)
        real = (out.astype(np.float32) - self.output.zero_point) * self.output.scale
        return np.asarray(real, np.float32)


class PictureNetwork:
    """One loaded float32 model that takes pictures of any size; not safe to share between threads.

    Args:
        model: the bytes of a .tflite file.
        multiple: each side of its input is a multiple of this.

    Raises:
        ModelError: `model` cannot be loaded.
    """

    def __init__(self, model: bytes, name: str, multiple: int, threads: int = 1) -> None:
        try:
            self._model, self._interpreter = _loaded(model, threads)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{name}: not a TFLite model that can be loaded: {error}") from error
        self._multiple = multiple
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]
        self._size = (0, 0)

    def run(self, image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Return the outputs, without their first axis, for uint8 BGR (height, width, 3).

        The picture is padded with black on the right and below.
        """
        height, width = image.shape[:2]
        padded = height + -height % self._multiple, width + -width % self._multiple
        if padded != self._size:
            self._interpreter.resize_tensor_input(self._input, (1, *padded, image.shape[2]))
            self._interpreter.allocate_tensors()
            self._size = padded
        self._fill(image)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]

    def _fill(self, image: npt.NDArray[np.uint8]) -> None:
        """Write the picture into the runtime's own input, which may not be referenced while it runs."""
        height, width = image.shape[:2]
        target = self._interpreter.tensor(self._input)()[0]
        target[:height, :width] = image
        target[height:] = 0
        target[:, width:] = 0


def _as_input(image: npt.NDArray[Any], dtype: Dtype) -> npt.NDArray[Any]:
    """Return uint8 RGB converted to the input type."""
    if dtype == "uint8":
        return image
    if dtype == "int8":
        return (image.astype(np.int16) - 128).astype(np.int8)
    return image.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _tensor(details: dict[str, Any], name: str) -> Tensor:
    scale, zero_point = details["quantization"]
    found = np.dtype(details["dtype"]).name
    if found not in _DTYPES:
        raise ModelError(f"{name}: {details['name']} is {found}; expected one of {', '.join(_DTYPES)}")
    shape = tuple(int(n) for n in details["shape"])
    return Tensor(shape, _DTYPES[found], float(scale), int(zero_point))
