"""What a file holds, for people: in a notebook a table and a contact sheet."""

from base64 import b64encode
from html import escape

from pixelfeat import _pixelfeat


class Inspection(dict):
    """A dict of what ``inspect`` has found, and ``picture``, a PNG file of the first images (bytes or None).

    A notebook shows both. ``repr`` is that of the dict.
    """

    def __init__(self, found=(), picture=None):
        super().__init__(found)
        self.picture = picture

    def _repr_png_(self):
        return self.picture

    def _repr_html_(self):
        about = [(name, self.get(name)) for name in ("column", "layout", "shape", "pixel_type", "range", "rows", "valid", "fits")]
        about += [(f"invalid: {reason}", rows["rows"]) for reason, rows in self.get("invalid", {}).items()]
        parts = [
            _table([], [(name, value) for name, value in about if value is not None]),
            _table(["column", "type", "nulls"], [tuple(column.values()) for column in self.get("columns", [])]),
            _table(
                ["feature", "places", "values"],
                [(f["name"], f"{f['start']}..{f['stop']}", _span(f["range"])) for f in self.get("features") or []],
            ),
        ]
        if self.picture:
            address = "data:image/png;base64," + b64encode(self.picture).decode()
            parts.append(f'<img alt="the first images" src="{address}">')
        return "".join(parts)


def inspect(
    path, *, column=None, shape=None, pixel_type=None, labels=None, limit=None, features="profiles", picture=True
):
    """Reads files once and tells what they hold, before any run.

    `path` is what ``open`` takes. column: the column of images, by default ``image`` or the first that can hold images. shape and
    pixel_type: those of the images if the data does not tell them. limit: only the first rows. features: which to tell of.

    Returns an ``Inspection``, a dict of

    - column, layout, shape (``"28x28"``), pixel_type, range (the lowest and highest value of a pixel), fits (the pixel type that would
      take values which do not fit, or None);
    - rows, valid, and invalid: for each reason the number of rows, and the first of them in words;
    - columns: name, type and nulls of each;
    - features: for each block of values its name, its places in the list (start, stop), the names of the first and last value, and
      the range of the values, None if there are no rows;

    and ``picture``: the first images and what the features see of them.

    Raises ``OSError`` and ``pixelfeat.Error`` as ``open`` does.
    """
    found, png = _pixelfeat.inspect(
        path,
        column=column,
        shape=shape,
        pixel_type=pixel_type,
        labels=labels,
        limit=limit,
        features=features,
        picture=picture,
    )
    return Inspection(found, png)


def _span(values):
    return "" if values is None else f"{values[0]:.4g} to {values[1]:.4g}"


def _table(head, rows):
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>" if rows else ""
