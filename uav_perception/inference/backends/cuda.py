"""The little of CUDA that running an engine takes: one stream, pinned and device buffers, graphs (cuda-bindings)."""

from __future__ import annotations

import ctypes
import weakref
from types import ModuleType

import numpy as np

from uav_perception.inference.errors import BackendError


def cuda_runtime() -> ModuleType:
    """The bindings of CUDA's runtime.

    Raises:
        BackendError: they are not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise BackendError(
            f"TensorRT needs the module 'cuda.bindings' ({error}). Install it with `pip install 'cuda-bindings>=12.6'`."
        ) from error
    return runtime


def call(cuda: ModuleType, result: tuple) -> object:
    """Unpack what a CUDA function returned: (status, values...).

    Raises:
        BackendError: the status is an error; CUDA's own words are given.
    """
    status, *values = result
    if status != cuda.cudaError_t.cudaSuccess:
        _, text = cuda.cudaGetErrorString(status)
        raise BackendError(f"CUDA: {text.decode()} (error {int(status)}).")
    return values[0] if len(values) == 1 else tuple(values)


def describe_device() -> dict[str, str]:
    """Name, compute capability and driver of the GPU in use; "none" each where there is no GPU or no binding."""
    try:
        cuda = cuda_runtime()
        properties = call(cuda, cuda.cudaGetDeviceProperties(call(cuda, cuda.cudaGetDevice())))
        driver = call(cuda, cuda.cudaDriverGetVersion())
    except BackendError:
        return {"name": "none", "compute_capability": "none", "driver": "none"}
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    capability = f"{properties.major}.{properties.minor}"
    return {"name": name, "compute_capability": capability, "driver": str(driver)}


class Stream:
    """A CUDA stream of its own, and the graphs captured on it."""

    def __init__(self, cuda: ModuleType) -> None:
        self._cuda = cuda
        self.handle = int(call(cuda, cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking)))
        weakref.finalize(self, cuda.cudaStreamDestroy, self.handle).atexit = False

    def wait(self) -> None:
        """Block until everything on the stream is done."""
        call(self._cuda, self._cuda.cudaStreamSynchronize(self.handle))

    def begin_capture(self) -> None:
        """Record what follows into a graph instead of running it."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(self._cuda, self._cuda.cudaStreamBeginCapture(self.handle, mode))

    def end_capture(self) -> object:
        """End the recording; returns the graph, ready to be launched."""
        graph = call(self._cuda, self._cuda.cudaStreamEndCapture(self.handle))
        executable = call(self._cuda, self._cuda.cudaGraphInstantiate(graph, 0))
        call(self._cuda, self._cuda.cudaGraphDestroy(graph))
        return executable

    def abandon_capture(self) -> None:
        """End a recording that failed half way, whatever state it is in."""
        status, *_ = self._cuda.cudaStreamEndCapture(self.handle)
        if status != self._cuda.cudaError_t.cudaSuccess:
            self._cuda.cudaGetLastError()  # clears it, so that later calls do not report it again

    def launch(self, graph: object) -> None:
        """Run a graph."""
        call(self._cuda, self._cuda.cudaGraphLaunch(graph, self.handle))

    def forget(self, graph: object) -> None:
        """Free a graph that is not running."""
        call(self._cuda, self._cuda.cudaGraphExecDestroy(graph))


class Buffer:
    """Memory on the device with a pinned mirror on the host.

    Attributes:
        host: flat NumPy array over the pinned memory.
        device: address on the device.
    """

    def __init__(self, cuda: ModuleType, elements: int, dtype: np.dtype) -> None:
        self._cuda = cuda
        size = max(elements, 1) * np.dtype(dtype).itemsize
        self.device = int(call(cuda, cuda.cudaMalloc(size)))
        weakref.finalize(self, cuda.cudaFree, self.device).atexit = False
        self._pinned = int(call(cuda, cuda.cudaHostAlloc(size, cuda.cudaHostAllocDefault)))
        raw = (ctypes.c_uint8 * size).from_address(self._pinned)
        # Results are views of this memory: it goes when the last of them does.
        weakref.finalize(raw, cuda.cudaFreeHost, self._pinned).atexit = False
        self.host = np.frombuffer(raw, dtype)

    def upload(self, elements: int, stream: Stream) -> None:
        """Start copying the first elements to the device."""
        self._copy(self.device, self._pinned, elements, self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice, stream)

    def download(self, elements: int, stream: Stream) -> None:
        """Start copying the first elements to the host."""
        self._copy(self._pinned, self.device, elements, self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost, stream)

    def _copy(self, target: int, source: int, elements: int, kind: object, stream: Stream) -> None:
        size = elements * self.host.itemsize
        call(self._cuda, self._cuda.cudaMemcpyAsync(target, source, size, kind, stream.handle))
