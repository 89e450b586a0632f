"""What people use to look at the quality of data, one program for each run: quality.py PROGRAM DIR

quality.py make DIR makes the inputs from DIR/digits.json.gz, of 10,000 images: they as PNG files and as 2,000,000 rows of
Parquet, and two tables of 200,000 rows and 15 columns, of which the second has moved away from the first.

Every program prints its seconds, without those for starting and importing modules, and what it found.
"""

import json
import os
import pathlib
import sys
import time
import warnings

warnings.simplefilter("ignore")
# No reports to their makers, and no bars of progress.
os.environ |= {"WHYLOGS_NO_ANALYTICS": "True", "GX_ANALYTICS_ENABLED": "False", "DO_NOT_TRACK": "1", "TQDM_DISABLE": "1"}

ROWS, REPEATED = 200_000, 4_000
NUMBERS = [*(f"f{i}" for i in range(9)), "i0", "i1", "i2"]
COLUMNS = [*NUMBERS, "label"]
SHARES = [0.05, 0.25, 0.5, 0.75, 0.95]


def table(seed, shift):
    """Twelve columns of numbers, two of them with 1 % nulls, lists of 64 pixels, a label as text and times. The last rows repeat others."""
    import numpy as np
    import pyarrow as pa

    random, own = np.random.default_rng(seed), ROWS - REPEATED
    rows = np.concatenate([np.arange(own), random.integers(0, own, REPEATED)])
    null = (random.random(own) < 0.01)[rows]
    floats = [random.normal(i + (shift if i == 0 else 0), 1 + i / 10, own) for i in range(6)]
    floats = [of.astype(np.float32) if i % 2 else of for i, of in enumerate(floats)]
    floats += [random.exponential(2 + shift, own), random.random(own), random.lognormal(0, 1, own)]
    wholes = [random.integers(0, 256, own).astype(np.int32), random.poisson(5 + shift, own), np.arange(own)]
    columns = {
        name: pa.array(of[rows], mask=null if name in ("f2", "f6") else None)
        for name, of in zip(NUMBERS, [*floats, *wholes])
    }
    pixels = random.integers(0, 256, (own, 64)).astype(np.uint8)[rows]
    columns["pixels"] = pa.ListArray.from_arrays(np.arange(ROWS + 1, dtype=np.int32) * 64, pixels.ravel())
    columns["label"] = pa.array(random.integers(0, 10, own)[rows].astype(str))
    times = 1_760_000_000_000_000 + np.sort(random.integers(0, 86_400_000_000, own))
    columns["time"] = pa.array(times[rows], pa.timestamp("us", "UTC"))
    return pa.table(columns)


def make(folder):
    import pyarrow.parquet as pq
    from PIL import Image

    import data

    images, labels = data.digits(folder)
    (folder / "png-digits").mkdir(exist_ok=True)
    for row, image in enumerate(images):
        Image.fromarray(image.reshape(28, 28)).save(folder / "png-digits" / f"{row:05}.png")
    # The comparison of features makes these two as well.
    if not (folder / "fixed-2m.parquet").exists():
        data.write_again_and_again(folder / "fixed-2m.parquet", data.fixed(images, labels), 2_000_000)
    if not (folder / "digits-200k.json.gz").exists():
        data.concatenate_again_and_again(folder / "digits-200k.json.gz", folder / "digits.json.gz", data.COPIES)
    for name, seed, shift in [("reference", 1, 0), ("current", 2, 0.15)]:
        pq.write_table(table(seed, shift), folder / f"{name}.parquet")


def duckdb(folder):
    import duckdb

    source = f"'{folder}/current.parquet'"
    numbers = ", ".join(
        f"count({name}), min({name}), max({name}), avg({name}), stddev_samp({name}), approx_count_distinct({name}), "
        f"approx_quantile({name}, {SHARES})"
        for name in NUMBERS
    )
    hashes = f"(SELECT hash(of) AS h FROM {source} AS of)"
    start = time.perf_counter()
    connection = duckdb.connect()
    row = connection.execute(f"SELECT count(*), approx_count_distinct(label), {numbers} FROM {source}").fetchone()
    repeated = connection.execute(f"SELECT count(*) - count(DISTINCT h) FROM {hashes}").fetchone()[0]
    seconds = time.perf_counter() - start
    copies = f"SELECT sum(n) FROM (SELECT count(*) AS n FROM {hashes} GROUP BY h HAVING n > 1)"
    names = ["count", "min", "max", "mean", "std", "distinct", "quantiles"]
    columns = {name: dict(zip(names, row[2 + 7 * i : 9 + 7 * i])) for i, name in enumerate(NUMBERS)}
    copies = int(connection.execute(copies).fetchone()[0])
    assert copies > repeated > 0
    return seconds, {"rows": row[0], "columns": columns, "copies": copies}


def great_expectations(folder):
    import logging

    logging.disable(logging.WARNING)
    import great_expectations as gx
    import pandas as pd

    checks = json.loads((folder / "table-checks.json").read_text())["checks"]
    start = time.perf_counter()
    frame = pd.read_parquet(folder / "current.parquet")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    suite = gx.ExpectationSuite(name="suite")
    for check in checks:
        name = "".join(word.title() for word in check["expect"].split("_"))
        suite.add_expectation(getattr(gx.expectations, name)(**{key: of for key, of in check.items() if key != "expect"}))
    asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
    batch = asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": frame})
    result = batch.validate(suite, result_format="SUMMARY")
    seconds = time.perf_counter() - start
    by_type = {of.expectation_config.type: of for of in result.results}
    keys = ["observed_value", "unexpected_count"]
    found = [by_type[check["expect"]] for check in checks]
    return seconds, [{"success": bool(of.success), **{key: of.result.get(key) for key in keys}} for of in found]


def evidently(folder):
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    start = time.perf_counter()
    about = DataDefinition(numerical_columns=NUMBERS, categorical_columns=["label"])
    frames = [pd.read_parquet(folder / f"{name}.parquet", columns=COLUMNS) for name in ("current", "reference")]
    current, reference = [Dataset.from_pandas(frame, data_definition=about) for frame in frames]
    metrics = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
    seconds = time.perf_counter() - start
    drifted = next(metric["value"]["count"] for metric in metrics if "column" not in metric["config"])
    values = {of["config"]["column"]: float(of["value"]) for of in metrics if "column" in of["config"]}
    return seconds, {"drifted": int(drifted), "values": values}


def whylogs(folder):
    import pandas as pd
    import whylogs as why

    start = time.perf_counter()
    view = why.log(pd.read_parquet(folder / "current.parquet", columns=COLUMNS)).profile().view()
    seconds = time.perf_counter() - start
    keys = {"count": "counts/n", "nulls": "counts/null", "min": "distribution/min", "max": "distribution/max"}
    keys |= {"mean": "distribution/mean", "std": "distribution/stddev"}
    summaries = {name: view.get_column(name).to_summary_dict() for name in NUMBERS}
    return seconds, {name: {key: of[path] for key, path in keys.items()} for name, of in summaries.items()}


def cleanvision(folder):
    from cleanvision import Imagelab

    start = time.perf_counter()
    lab = Imagelab(data_path=str(folder / "png-digits"), verbose=False)
    # With small images, more processes only talk more.
    lab.find_issues(n_jobs=1, verbose=False)
    seconds = time.perf_counter() - start
    found = {row["issue_type"]: int(row["num_images"]) for _, row in lab.issue_summary.iterrows()}
    # The first of some images that are the same counts there, and has no issue here.
    for name in ["exact_duplicates", "near_duplicates"]:
        found[name] -= int(lab.info[name]["num_sets"])
    return seconds, found


PROGRAMS = [duckdb, great_expectations, evidently, whylogs, cleanvision]


def main(program, folder):
    folder = pathlib.Path(folder)
    if program == "make":
        return make(folder)
    run = next(run for run in PROGRAMS if run.__name__ == program)
    # Some of them print on their own.
    out, sys.stdout = sys.stdout, sys.stderr
    seconds, found = run(folder)
    print(json.dumps({"seconds": seconds, "found": found}, default=float), file=out)


if __name__ == "__main__":
    main(*sys.argv[1:])
