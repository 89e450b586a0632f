"""Reads a table with deltalake for Python, as others would: `read.py DELTA FOLDER`.

DELTA is the program, FOLDER an empty folder. Written for the versions in requirements.txt.
"""

import json
import subprocess
import sys
from pathlib import Path

from deltalake import DeltaTable
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

delta, folder = sys.argv[1], Path(sys.argv[2])
path = folder / "digits"


def run(*arguments):
    return subprocess.run([delta, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


run("append", "--table", path, "--hashes")
run("append", "--table", path, "--hashes")
run("overwrite", "--table", path, "--features", "zones:2x2", "--keep-image=bytes")

latest = DeltaTable(path)
assert latest.version() == 2
assert latest.metadata().configuration["pixelfeat.features"] == "zones:2x2"
assert latest.metadata().configuration["pixelfeat.shape"] == "28x28"

# Each version has its rows, and the same values as the program reads back.
for version, rows in [(0, 10_000), (1, 20_000), (2, 10_000)]:
    table = DeltaTable(path, version=version)
    read = pa.table(table.to_pyarrow_table())
    assert read.num_rows == rows, (version, read.num_rows)
    file = folder / f"{version}.parquet"
    run("read", "--table", path, "--version", version, "-o", file)
    own = pq.read_table(file)
    assert set(own.column_names) == set(read.column_names)
    for name in own.column_names:
        # Files of a version have no order for a reader, so long columns are compared as sorted text.
        ours, theirs = (column.to_pylist() for column in (own[name], read[name]))
        key = lambda value: repr(int(value) if name.endswith("hash") else value)
        assert sorted(map(key, ours)) == sorted(map(key, theirs)), (version, name)

# Hashes have all 64 bits, beyond what a signed integer holds.
first = pa.table(DeltaTable(path, version=0).to_pyarrow_table())
assert first.schema.field("phash").type == pa.decimal128(20, 0), first.schema.field("phash").type
assert pa.types.is_list(first.schema.field("features").type) and len(first["features"][0]) == 60
assert pc.max(first["phash"]).as_py() > 2**63

# A filter leaves rows out, whatever the statistics say.
wanted = DeltaTable(path, version=0).to_pyarrow_dataset().to_table(filter=ds.field("label") == 3)
assert wanted.num_rows == pc.sum(pc.equal(first["label"], 3)).as_py() > 0
nothing = DeltaTable(path, version=0).to_pyarrow_dataset().to_table(filter=ds.field("label") > 9)
assert nothing.num_rows == 0

# The digest stands in the commit, and is that which `delta log` shows.
history = latest.history()
assert [commit["operationParameters"]["mode"] for commit in history] == ["Overwrite", "Append", "Append"]
shown = [json.loads(line) for line in run("log", "--table", path, "--json").splitlines()]
for theirs, ours in zip(history, shown):
    digest = theirs["pixelfeat.digest"]
    digest = json.loads(digest) if isinstance(digest, str) else digest
    assert digest == ours["info"]["pixelfeat.digest"], (digest, ours)
    assert digest["rows"] == 10_000

# Others may append, and optimize. The program reads what they wrote.
from deltalake import write_deltalake

more = pa.table(DeltaTable(path).to_pyarrow_table()).slice(0, 5)
write_deltalake(path, more, mode="append")
run("read", "--table", path, "-o", folder / "more.parquet")
assert pq.read_metadata(folder / "more.parquet").num_rows == 10_005
DeltaTable(path).optimize.compact()
run("read", "--table", path, "-o", folder / "compact.parquet")
assert pq.read_metadata(folder / "compact.parquet").num_rows == 10_005
print(f"read by deltalake {__import__('deltalake').__version__}: versions, values, properties and digests agree")
