from collections.abc import Buffer, Iterator, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, TypedDict, Unpack, overload

__version__: str

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None, /) -> tuple[object, object]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object: ...

_Path = str | PathLike[str]
_Shape = str | Sequence[int]
_Names = str | Sequence[str]

class _Run(TypedDict, total=False):
    """The options of `featurize` but for the features themselves."""

    shape: _Shape | None
    column: str | None
    stages: _Names | None
    gray: bool | None
    resize: _Shape | None
    seed: int | None
    encoding: Literal["raw", "encoded"] | None
    order: str | None
    pixel_type: Literal["u8", "u16", "f32"] | None
    scale: float | None
    layout: Literal["list", "columns", "tensor"] | None
    ragged: bool | None
    keep_image: Literal["no", "original", "tensor", "bytes"] | None
    on_invalid: Literal["null", "drop", "error"] | None
    max_invalid: int | str | None
    backend: Literal["cpu", "gpu", "hybrid", "auto"] | None
    threads: int | None

class _Options(_Run, total=False):
    features: _Names | None

class Error(ValueError):
    kind: str
    file: str | None
    row: int | None
    line: int | None
    column: str | None
    reason: str | None
    option: str | None

class Array(Buffer):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_schema__(self) -> object: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...
    @property
    def null_count(self) -> int: ...

class Features(Array):
    @property
    def names(self) -> list[str]: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def invalid(self) -> list[dict[str, Any]]: ...
    def column(self, name: str) -> Array: ...

class Batch:
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def __len__(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...

class Stream:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def __next__(self) -> Batch: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def report(self) -> dict[str, Any] | None: ...

@overload
def featurize(data: Stream, **options: Unpack[_Options]) -> Stream: ...
@overload
def featurize(data: Buffer, **options: Unpack[_Options]) -> Features: ...
@overload
def featurize(data: _ArrowArray | _ArrowStream, **options: Unpack[_Options]) -> Features | Batch | Stream: ...
def feature_names(features: _Names, shape: _Shape) -> list[str]: ...
def open(
    path: _Path | Sequence[_Path],
    *,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    sample: int | None = None,
    labels: _Path | None = None,
    batch_rows: int = 8192,
    **options: Unpack[_Options],
) -> Stream: ...
def write(
    data: _ArrowArray | _ArrowStream,
    path: _Path,
    *,
    compression: Literal["zstd", "snappy", "gzip", "none"] | None = None,
    partition_by: str | None = None,
) -> dict[str, int]: ...
@overload
def augment(
    data: Buffer,
    pipeline: _Names,
    *,
    epoch: int = 0,
    ids: Sequence[int] | Buffer | _ArrowArray | None = None,
    **options: Unpack[_Run],
) -> Array: ...
@overload
def augment(
    data: _ArrowArray | _ArrowStream,
    pipeline: _Names,
    *,
    epoch: int = 0,
    ids: Sequence[int] | Buffer | _ArrowArray | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    label: str | None = None,
    soft_labels: int | None = None,
    mask: str | None = None,
    boxes: str | None = None,
    log: bool = False,
    **options: Unpack[_Options],
) -> Array | Batch | Stream: ...
def inspect(
    path: _Path | Sequence[_Path],
    *,
    column: str | None = None,
    shape: _Shape | None = None,
    pixel_type: str | None = None,
    labels: _Path | None = None,
    limit: int | None = None,
    features: _Names | None = None,
    picture: bool = True,
) -> tuple[dict[str, Any], bytes | None]: ...
