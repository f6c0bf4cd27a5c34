"""Tables in Parquet files: columns of numbers, texts, bytes, and arrays of one shape."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError, MissingExtra

Column = NDArray[Any] | Sequence[Any]


def write(path: Path, columns: Mapping[str, Column]) -> None:
    """Writes columns of equal length, all or nothing; of an array (n, ...) each row is a list of its numbers.

    Raises LiveswapError when path cannot be written, MissingExtra without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing(error) from error
    arrays = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            flat = np.ascontiguousarray(column.reshape(len(column), -1))
            values = pyarrow.array(flat.ravel())
            arrays[name] = pyarrow.FixedSizeListArray.from_arrays(values, flat.shape[1])
        else:
            arrays[name] = pyarrow.array(column)
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(arrays), beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise LiveswapError(f"the table {path} cannot be written: {error.strerror or error}") from error


def read(path: Path) -> dict[str, Any]:
    """The columns by name: arrays (n,) or (n, k) of numbers, lists of texts and bytes. Raises as write does."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise _missing(error) from error
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise LiveswapError(f"{path} cannot be read as a table: {said[:200]}") from error
    return {name: _plain(table.column(name).combine_chunks()) for name in table.column_names}


def _plain(column: Any) -> Any:
    """A column as an array, or as a list where it holds texts or bytes."""
    import pyarrow

    if pyarrow.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_binary(column.type):
        return column.to_pylist()
    return column.to_numpy(zero_copy_only=False)


def _missing(error: ImportError) -> MissingExtra:
    return MissingExtra(f"facesets need one more package ({error}): pip install 'liveswap[training]'")
