"""The jobs of `run` about quality, and whether the programs found the same."""

import json

from programs import HERE, environment, output, packages, process

PYTHON = environment("quality", "PIXELFEAT_QUALITY_VENV")
WHYLOGS_PYTHON = environment("whylogs", "PIXELFEAT_WHYLOGS_VENV")
USED = ["cleanvision", "duckdb", "evidently", "great_expectations", "numpy", "pandas", "pillow", "pyarrow"]

# In the words of Great Expectations, which takes the same file.
TABLE_CHECKS = [
    {"expect": "expect_column_values_to_not_be_null", "column": "f2", "mostly": 0.95},
    {"expect": "expect_column_values_to_be_between", "column": "f0", "min_value": -4, "max_value": 4},
    {"expect": "expect_column_mean_to_be_between", "column": "f1", "min_value": 0.9, "max_value": 1.1},
    {"expect": "expect_column_stdev_to_be_between", "column": "f3", "min_value": 1, "max_value": 2},
    {"expect": "expect_column_median_to_be_between", "column": "f8", "min_value": 0.8, "max_value": 1.2},
    {"expect": "expect_column_proportion_of_unique_values_to_be_between", "column": "i2", "min_value": 0.9},
    {"expect": "expect_column_values_to_be_in_set", "column": "label", "value_set": list("0123456789")},
    {"expect": "expect_column_values_to_match_regex", "column": "label", "regex": "^[0-8]$"},
    {"expect": "expect_column_values_to_be_unique", "column": "i2"},
    {"expect": "expect_table_row_count_to_be_between", "min_value": 1000, "max_value": 10_000_000},
]
DIGIT_CHECKS = [
    {"rule": "not_null", "column": "image"},
    {"rule": "not_null", "column": "label"},
    {"rule": "in_set", "column": "label", "values": list(range(10))},
    {"rule": "distinct_equal_set", "column": "label", "values": list(range(10))},
    {"rule": "between", "column": "pixel_mean", "min": 0, "max": 255},
    {"rule": "between", "column": "row_sum_0", "min": 0, "max": 28},
    {"rule": "mean", "column": "image.brightness", "min": 0.01, "max": 0.9},
    {"rule": "std", "column": "pixel_mean", "max": 100},
    {"rule": "unique", "column": "image", "mostly": 0},
    {"rule": "row_count", "min": 10_000},
]

NOTES = """\
Of the programs of others the time for starting and importing modules is left out; of pixelfeat it is the whole process. What is
compared with what:
- *NDJSON.gz → Parquet* is `featurize` with `--profile`, `--check` (ten checks, one of them for equal images) and `--contract` (one
  that `check --write-contract` proposed for these rows) against `featurize` without them. Both outputs have the same rows. Each round
  runs both 15 times for 10,000 images and 5 times for 200,000.
- *Profile and duplicates* is `check --profile` with the check `compound_unique` over all 15 columns. DuckDB does it by two
  queries: counts, least, largest, mean, deviation, five quantiles and an estimate of the different values of 12 columns of numbers
  and one of text; then rows less different hashes of rows. pixelfeat also profiles lists and times, and has histograms and the
  most common values. Counts and copies are equal, means and deviations within 10⁻⁹, quantiles within 2 %, estimates within 10 %.
- *Ten checks* are those that Great Expectations takes, from one file. Verdicts and unexpected rows are equal, observed numbers within
  10⁻⁶, a median within 0.4 % and a share of different values within 5 %. Three of the ten fail, and both programs say so.
- *Drift*: Evidently reads both tables, pixelfeat one and the profile of the other, which it wrote before. The distances of 13 columns
  are within 0.003, and the same columns have drifted.
- whylogs makes a profile of 13 columns, pixelfeat of 15. Counts and nulls are equal, means and deviations within 10⁻⁹.
- *Images*: `check --issues` on a folder of PNG files against CleanVision in one process, which takes less time than two do with
  images of this size. All counts are equal.
- *Memory* is the largest of the whole process, with and without `--profile`, `--check` and `--contract`. The 2,000,000 rows are the
  digits again and again.
"""


class Quality:
    def __init__(self, bench):
        self.bench, self.folder = bench, bench.folder
        self.featurize, self.check = (bench.programs[name] for name in ["featurize", "check"])

    def inputs(self):
        if not (self.folder / "current.parquet").exists():
            output(PYTHON, HERE / "quality.py", "make", self.folder)
        columns = [*(f"f{i}" for i in range(9)), "i0", "i1", "i2", "pixels", "label", "time"]
        every = [{"rule": "compound_unique", "columns": columns, "mostly": 0}]
        for name, checks in [("table", TABLE_CHECKS), ("digit", DIGIT_CHECKS), ("copies", every)]:
            # Some of them are made to fail, which is to end no run.
            checks = [{**check, "severity": "warning"} for check in checks]
            (self.folder / f"{name}-checks.json").write_text(json.dumps({"checks": checks}))
        self.checked("--write-contract", self.folder / "contract.yaml", source="digits.json.gz")
        self.checked("--profile", self.folder / "reference.json", source="reference.parquet")

    def found(self, name):
        return json.loads((self.folder / name).read_text())

    def peer(self, program, python=PYTHON):
        """Runs one of the others; its seconds. What it found is kept."""
        result = json.loads(output(python, HERE / "quality.py", program, self.folder))
        (self.folder / f"{program}.json").write_text(json.dumps(result["found"]))
        return result["seconds"]

    def checked(self, *options, source="current.parquet"):
        return process(self.check, self.folder / source, "-q", *options)[0]

    def featurized(self, source, target, *options):
        return process(self.featurize, self.folder / source, "-o", self.folder / target, "-q", *options)

    def watched(self):
        """The options of a run that looks at its data."""
        profile, checks, contract = (self.folder / name for name in ["profile.json", "digit-checks.json", "contract.yaml"])
        return ["--profile", profile, "--check", checks, "--contract", contract]

    def run_with_and_without(self):
        jobs = [("digits.json.gz", 10_000, 15, dict(least=1.25, aim=1.1)), ("digits-200k.json.gz", 200_000, 5, {})]
        for source, rows, times, goal in jobs:
            # Few runs of some milliseconds would tell more of the machine than of the program.
            contestants = {
                "with": lambda: self.featurized(source, "with.parquet", *self.watched())[0],
                "without": lambda: self.featurized(source, "without.parquet")[0],
            }
            seconds = self.bench.in_turn(contestants, times)
            outputs = [self.folder / f"{name}.parquet" for name in ["with", "without"]]
            # The records in the footers tell the options, and so differ.
            output(self.check, "--same", *outputs)
            assert self.found("profile.json")["rows"] == rows
            job = f"{rows:,} images, NDJSON.gz → Parquet, with profile, ten checks and a contract"
            self.bench.row(job, "without", seconds["with"], seconds["without"], "within", **goal)

    def profile_and_duplicates(self):
        profile, checks = self.folder / "profile.json", self.folder / "copies-checks.json"
        options = ["--profile", profile, "--check", checks, "--check-report", self.folder / "copies.json"]
        contestants = {"ours": lambda: self.checked(*options), "duckdb": lambda: self.peer("duckdb")}
        seconds = self.bench.in_turn(contestants)
        by_duckdb, ours = self.found("duckdb.json"), self.found("profile.json")
        assert ours["rows"] == by_duckdb["rows"]
        assert self.found("copies.json")["results"][0]["unexpected_count"] == by_duckdb["copies"]
        for name, theirs in by_duckdb["columns"].items():
            mine = self.same_numbers(name, theirs, ours)
            assert mine["count"] - mine["nulls"] == theirs["count"], name
            near(mine["distinct"], theirs["distinct"], 0.1, name)
            for share, value in zip(["5%", "25%", "50%", "75%", "95%"], theirs["quantiles"]):
                # Whole numbers may be the next one.
                near(mine["quantiles"][share], value, 0.02, name, least=50 if name.startswith("i") else 1)
        job = "profile and duplicates, 200,000 rows × 15 columns, Parquet"
        self.bench.row(job, "DuckDB", seconds["ours"], seconds["duckdb"], least=1, aim=2)
        return job

    def same_numbers(self, name, theirs, profile):
        mine = next(column for column in profile["columns"] if column["name"] == name)
        for key in ["min", "max", "mean", "std"]:
            near(mine[key], theirs[key], 1e-9, name, least=1)
        return mine

    def profile_alone(self):
        profile = self.folder / "profile.json"
        contestants = {
            "ours": lambda: self.checked("--profile", profile),
            "whylogs": lambda: self.peer("whylogs", WHYLOGS_PYTHON),
        }
        seconds = self.bench.in_turn(contestants)
        for name, theirs in self.found("whylogs.json").items():
            mine = self.same_numbers(name, theirs, self.found("profile.json"))
            assert (mine["count"], mine["nulls"]) == (theirs["count"], theirs["nulls"]), name
        job = "profile, 200,000 rows × 15 columns, Parquet"
        self.bench.row(job, "whylogs", seconds["ours"], seconds["whylogs"], least=10, aim=20)

    def ten_checks(self):
        report = self.folder / "checked.json"
        options = ["--check", self.folder / "table-checks.json", "--check-report", report]
        contestants = {
            "ours": lambda: self.checked(*options),
            "gx": lambda: self.peer("great_expectations"),
        }
        seconds = self.bench.in_turn(contestants)
        pairs = list(zip(TABLE_CHECKS, self.found("checked.json")["results"], self.found("great_expectations.json")))
        assert len(pairs) == len(TABLE_CHECKS)
        for check, ours, theirs in pairs:
            name, observed = check["expect"], theirs["observed_value"]
            assert ours["success"] == theirs["success"], name
            if theirs["unexpected_count"] is not None:
                assert ours["unexpected_count"] == theirs["unexpected_count"], name
            if observed is not None:
                limit = 0.05 if "proportion" in name else 0.004 if "median" in name else 1e-6
                near(ours["observed_value"], observed, limit, name)
        assert sum(not theirs["success"] for _, _, theirs in pairs) == 3
        job = "ten checks, 200,000 rows × 15 columns, Parquet"
        self.bench.row(job, "Great Expectations", seconds["ours"], seconds["gx"], least=10, aim=30)

    def drift(self):
        report = self.folder / "drift.json"
        options = ["--reference", self.folder / "reference.json", "--drift-report", report]
        contestants = {"ours": lambda: self.checked(*options), "evidently": lambda: self.peer("evidently")}
        seconds = self.bench.in_turn(contestants)
        ours, theirs = {of["column"]: of for of in self.found("drift.json")["results"]}, self.found("evidently.json")
        for name, value in theirs["values"].items():
            assert abs(ours[name]["value"] - value) <= 0.003, (name, ours[name]["value"], value)
        drifted = sum(ours[name]["drifted"] for name in theirs["values"])
        assert drifted == theirs["drifted"] > 0
        job = "drift, 200,000 rows × 15 columns, Parquet"
        self.bench.row(job, "Evidently", seconds["ours"], seconds["evidently"], least=20, aim=50)

    def images(self):
        report = self.folder / "issues.json"
        options = ["--issues", "--check-report", report]
        contestants = {
            "ours": lambda: self.checked(*options, source="png-digits"),
            "cleanvision": lambda: self.peer("cleanvision"),
        }
        seconds = self.bench.in_turn(contestants)
        theirs = self.found("cleanvision.json")
        ours = {of["check"]: of["unexpected_count"] for of in self.found("issues.json")["results"]}
        for name, count in ours.items():
            assert count == theirs[f"{name}s" if name.endswith("duplicate") else name], (ours, theirs)
        assert len(ours) == 8
        job = "issues of 10,000 PNG digits"
        self.bench.row(job, "CleanVision", seconds["ours"], seconds["cleanvision"], least=20, aim=50)

    def memory(self):
        def largest(*options):
            return self.featurized("fixed-2m.parquet", "memory.parquet", "--backend", "cpu", *options)[1]

        memory = self.bench.in_turn({"with": lambda: largest(*self.watched()), "without": largest})
        assert self.found("profile.json")["rows"] == 2_000_000
        more = [watched - plain for watched, plain in zip(memory["with"], memory["without"])]
        job = "largest memory, 2,000,000 images from Parquet, with profile, ten checks and a contract"
        self.bench.row(job, "without", memory["with"], memory["without"], "within", "MB")
        self.bench.row(f"{job}: what they add", None, more, None, "below", "MB", least=40, aim=20)


def versions():
    return packages(WHYLOGS_PYTHON, ["whylogs"]) | packages(PYTHON, USED)


def near(value, expected, limit, what, least=0):
    """`limit` is a share of the expected number, or of `least` where that is larger."""
    assert abs(value - expected) <= limit * max(abs(expected), least), (what, value, expected)


def measure(bench):
    quality = Quality(bench)
    quality.inputs()
    # First, because the memory of a program counts from that of this one, and this one grows.
    quality.memory()
    quality.run_with_and_without()
    quality.profile_and_duplicates()
    quality.ten_checks()
    quality.drift()
    if WHYLOGS_PYTHON.exists():
        quality.profile_alone()
    quality.images()
