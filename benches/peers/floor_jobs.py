"""The jobs of `run` beside what their codecs alone need, beside OpenCV, and on one core."""

import os

from programs import HERE, PYTHON, output

# After half a gigabyte of pixels it would look for a GPU.
CPU = ["--backend", "cpu"]
CASES = ["28x28-u8", "28x28-u16", "28x28-f32", "512x512-u8"]
NOTES = """\
What is compared with what:
- *Decompressing alone* is one thread with the crate that also reads the file, as a gzip stream can only be read from its beginning.
- *The codecs alone* decompress the pages of the images, write each pixel once, and compress the pages of the output as they are in
  it, page by page on all cores. Nothing is decoded, computed, checked, copied or written to a disk.
- *Reading and writing alone* reads every pixel and writes every result once, in memory, on all cores.
- *OpenCV* reads the files and resizes the images by area, on as many threads as there are cores. pixelfeat also computes the
  features and writes a Parquet file. Both see the same images: the means of each differ by less than 0.6 of 255.
- *One core* is the same program, held to one core by the system.
"""


class Floors:
    def __init__(self, bench):
        self.bench, self.folder = bench, bench.folder

    def inputs(self):
        """Makes the photographs if they are not there yet."""
        if not (self.folder / "png/0999.png").exists():
            output(PYTHON, HERE / "photos.py", "make", self.folder)

    def within(self, job, peer, seconds, least, aim):
        self.bench.row(job, peer, seconds["ours"], seconds["floor"], "within", least=least, aim=aim)

    def json(self):
        for name, images, least, aim in [("digits", "10,000", 1.8, 1.5), ("digits-1m", "1,000,000", 1.3, 1.1)]:
            source = f"{name}.json.gz"
            seconds = self.bench.in_turn(
                {
                    "ours": lambda: self.bench.featurize(source, options=CPU),
                    "floor": lambda: self.bench.probe("gunzip", self.folder / source)["seconds"],
                }
            )
            self.bench.check("pixelfeat.parquet")
            self.within(f"{images} images, NDJSON.gz → Parquet", "decompressing alone", seconds, least, aim)

    def parquet(self):
        for name, column in [("fixed", "FixedSizeList<u8>"), ("list", "List<int64>"), ("binary", "Binary")]:
            source, target = self.folder / f"{name}.parquet", self.folder / "pixelfeat.parquet"
            seconds = self.bench.in_turn(
                {
                    "ours": lambda: self.bench.featurize(source),
                    "floor": lambda: self.bench.probe("codecs", source, target)["seconds"],
                }
            )
            self.bench.check("pixelfeat.parquet")
            job = f"200,000 images, Parquet {column} → Parquet"
            self.within(job, "the codecs alone", seconds, 1.4, 1.2)

    def kernels(self):
        rounds = self.bench.in_turn(
            {
                "ours": lambda: self.bench.probe("kernels", self.folder, *CASES),
                "numba": lambda: self.bench.python("kernels.py", self.folder, "28x28-f32"),
            }
        )
        self.bench.check(*(f"{case}.pixelfeat" for case in CASES))
        for case in CASES:
            job = "features alone, 157 MB of " + case.replace("x", "×").replace("-", " ")
            of = lambda what: [found[case][what] for found in rounds["ours"]]
            self.within(job, "reading and writing alone", {"ours": of("features"), "floor": of("floor")}, 1.3, 1.1)
            if case == "28x28-f32":
                numba = [found["numba"][case] for found in rounds["numba"]]
                self.bench.row(job, "Numba", of("features"), numba, least=1.3, aim=1.6)

    def photos(self):
        for kind, files, least, aim in [("gray", "jpeg", 1, 1.5), ("colour", "jpeg", 1.2, 2), ("colour", "png", 2, 3)]:
            options = ["--resize", "224x224:area", *(["--gray"] if kind == "gray" else [])]
            seconds = self.bench.in_turn(
                {
                    "ours": lambda: self.bench.featurize(files, options=options),
                    "opencv": lambda: self.bench.python("photos.py", kind, self.folder / files, self.folder / "means.npy")["seconds"],
                }
            )
            output(PYTHON, HERE / "photos.py", "check", self.folder / "pixelfeat.parquet", self.folder / "means.npy")
            job = f"1,000 {files.upper()}s of 520×320 → 224×224 {kind}, features → Parquet"
            self.bench.row(job, "OpenCV, decoding and resizing", seconds["ours"], seconds["opencv"], least=least, aim=aim)

    def kept(self):
        options = ["--resize", "224x224:area", "--keep-image=tensor"]
        run = lambda target: lambda: self.bench.featurize("jpeg", target, options=options)
        seconds = self.bench.in_turn({"ours": run("kept.parquet"), "floor": run("kept.arrow")})
        output(self.bench.programs["check"], "--same", self.folder / "kept.parquet", self.folder / "kept.arrow")
        self.within("1,000 JPEGs with `--keep-image` → Parquet", "→ Arrow IPC", seconds, 1.2, 1)

    def cores(self):
        if not hasattr(os, "sched_setaffinity"):
            return
        for job, source, options in [
            ("10,000 images, NDJSON.gz", "digits.json.gz", []),
            ("1,000,000 images, NDJSON.gz", "digits-1m.json.gz", CPU),
            ("200,000 images, Parquet FixedSizeList<u8>", "fixed.parquet", []),
            ("200,000 images, Parquet List<int64>", "list.parquet", []),
            ("200,000 images, Parquet Binary", "binary.parquet", []),
            ("1,000 JPEGs → 224×224 gray", "jpeg", ["--gray", "--resize", "224x224:area"]),
        ]:
            seconds = self.bench.in_turn(
                {
                    "all": lambda: self.bench.featurize(source, options=options),
                    "one": lambda: self.on_one_core(source, options),
                }
            )
            self.bench.row(f"{job} → Parquet, {os.cpu_count()} cores", "one core", seconds["all"], seconds["one"])

    def on_one_core(self, source, options):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        try:
            return self.bench.featurize(source, options=options)
        finally:
            os.sched_setaffinity(0, cores)


def measure(bench):
    floors = Floors(bench)
    floors.inputs()
    for job in [floors.json, floors.parquet, floors.kernels, floors.photos, floors.kept, floors.cores]:
        job()
