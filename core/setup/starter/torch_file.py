"""Reads the tensors of a PyTorch checkpoint without PyTorch, and without trusting it.

The weights are in the serialisation that PyTorch used before 1.6: five pickles (magic number,
protocol version, system info, the object, the storage keys), then each storage as a length and raw
little-endian elements. The unpickler here knows exactly the names such a file needs and refuses
every other, so a checkpoint can't run code.

Layout: pytorch/pytorch `torch/serialization.py`, `_legacy_save`, tag v1.5.0.
"""

import collections
import pickle

import numpy

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
STORAGE_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Storage:
    """One run of elements, filled after the pickles have been read."""

    def __init__(self, dtype, length):
        self.dtype = numpy.dtype(dtype)
        self.length = length
        self.elements = None


class _Tensor:
    """A view of a storage, as the pickle describes it."""

    def __init__(self, storage, offset, shape, strides, *_gradient):
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides

    def array(self):
        """A contiguous copy, checked to lie inside its storage."""
        elements = self.storage.elements
        extent = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        if self.offset < 0 or min(self.strides, default=0) < 0 or self.offset + extent > len(elements):
            raise ValueError("a tensor reaches outside its storage")
        strides = [stride * elements.itemsize for stride in self.strides]
        view = numpy.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, strides, writeable=False)
        return numpy.ascontiguousarray(view)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"the checkpoint asks for {module}.{name}, which no weights file needs")

    def persistent_load(self, persistent_id):
        kind, dtype, key, _location, length, view = persistent_id
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unknown persistent id {persistent_id!r}")
        return self.storages.setdefault(key, _Storage(dtype, length))


def read(file):
    """The state dict in `file` (open for reading bytes): names to arrays."""
    storages = {}

    def unpickle():
        return _Unpickler(file, storages).load()

    if unpickle() != MAGIC_NUMBER or unpickle() != PROTOCOL_VERSION:
        raise ValueError("not a PyTorch checkpoint of the legacy layout")
    if not unpickle()["little_endian"]:
        raise ValueError("a big-endian checkpoint")
    tensors = unpickle()
    for key in unpickle():
        storage = storages[key]
        length = int.from_bytes(file.read(8), "little")
        if length != storage.length:
            raise ValueError(f"storage {key} has {length} elements where {storage.length} are promised")
        content = file.read(length * storage.dtype.itemsize)
        if len(content) != length * storage.dtype.itemsize:
            raise ValueError(f"storage {key} is cut short")
        storage.elements = numpy.frombuffer(content, storage.dtype)
    if file.read(1):
        raise ValueError("bytes after the last storage")
    return {name: tensor.array() for name, tensor in tensors.items()}
