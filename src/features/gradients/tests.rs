//! The oracle against NumPy and against directions worked out by hand, and the sums that only the largest cells could break.

use super::cells::WEIGHTS;
use super::*;
use crate::base::pixels::Pixel;
use crate::features::FeatureSet;
use crate::reference;

/// Values by NumPy: `tests/fixtures/make_gradients.py` says which.
const NUMPY: &[u8] = include_bytes!("../../../tests/fixtures/gradients.f32");
const SHAPES: [(usize, usize); 13] = [
    (1, 1),
    (1, 2),
    (2, 3),
    (3, 1),
    (5, 7),
    (9, 9),
    (10, 10),
    (11, 9),
    (13, 64),
    (28, 28),
    (37, 53),
    (100, 131),
    (2600, 20),
];

fn draw(height: usize, width: usize, bits: u32) -> impl Iterator<Item = u32> {
    (0..height * width).map(move |i| {
        let mixed = ((i + 1000 * height + width) as u32).wrapping_mul(2_654_435_761);
        (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519) >> (32 - bits)
    })
}

fn expected<P: Pixel>(shape: ImageShape, pixels: &[P]) -> Vec<f32> {
    let set = FeatureSet::new([Gradients.into()]).unwrap();
    reference::features(&set.layout(shape, P::TYPE.default_scale()).unwrap(), P::slice(pixels))
}

#[test]
fn the_oracle_gives_the_bytes_that_numpy_gives() {
    let mut wanted = NUMPY.as_chunks::<4>().0.chunks_exact(VALUES);
    let mut check = |shape, got: Vec<f32>| {
        let want = wanted.next().expect("values of every shape");
        let wrong = got.iter().zip(want).position(|(got, want)| got.to_le_bytes() != *want);
        assert_eq!(wrong, None, "{shape}");
    };
    for (h, w) in SHAPES {
        let shape = ImageShape::gray(h, w).unwrap();
        check(shape, expected(shape, &draw(h, w, 8).map(|pixel| pixel as u8).collect::<Vec<_>>()));
        check(shape, expected(shape, &draw(h, w, 16).map(|pixel| pixel as u16).collect::<Vec<_>>()));
    }
    assert!(wanted.next().is_none());
}

#[test]
fn slopes_have_their_directions() {
    // Brightness that rises by 20 a step right, and by 10 a step down: 20 of 40 go to the right, 20 to right and down.
    let shape = ImageShape::gray(10, 10).unwrap();
    let slope = |right: usize, down: usize| -> Vec<u8> {
        (0..100).map(|i| (right * (i % 10) + down * (i / 10)) as u8).collect()
    };
    let middle = |values: Vec<f32>| values[5 * DIRECTIONS..][..DIRECTIONS].to_vec();
    let [none, all, half] = [0.0f64, 40.0 / 255.0, 20.0 / 255.0].map(|share| share.sqrt() as f32);
    assert_eq!(middle(expected(shape, &slope(20, 0))), [all, none, none, none, none, none, none, none]);
    assert_eq!(middle(expected(shape, &slope(0, 20))), [none, none, all, none, none, none, none, none]);
    assert_eq!(middle(expected(shape, &slope(20, 10))), [half, half, none, none, none, none, none, none]);
    let mut falling = slope(20, 10);
    falling.reverse();
    assert_eq!(middle(expected(shape, &falling)), [none, none, none, none, half, half, none, none]);
}

#[test]
fn values_are_zero_to_one_and_named() {
    let shape = ImageShape::new(28, 28, 3).unwrap();
    // A checkerboard of the highest contrast, two pixels a field.
    let pixels: Vec<u8> = (0..shape.values()).map(|i| 255 * ((i / 3 / 28 / 2 + i / 3 % 28 / 2) % 2) as u8).collect();
    let values = expected(shape, &pixels);
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)) && values.iter().any(|&value| value > 0.4));
    let layout = FeatureSet::new([Gradients.into()]).unwrap().layout(shape, 255.0).unwrap();
    let names = layout.list_names();
    assert_eq!(names.len(), 3 * VALUES);
    assert_eq!([&names[0], &names[VALUES + 87]], ["c0_gradient_r0c0_d0", "c1_gradient_r2c2_d7"]);
    assert_eq!(Gradients.blocks(ImageShape::gray(1, 1).unwrap())[0].values[2 * 32 + 3 * 8 + 5], "gradient_r2c3_d5");
}

#[test]
fn parameters_are_refused() {
    let error = "gradients:8".parse::<FeatureSet>().unwrap_err().to_string();
    assert!(error.contains("`gradients` takes no parameters"), "{error}");
}

/// The sums of stripes, two dark columns and two of the highest value in turns, at every level.
fn stripes<P: LevelPixel<Total = u64>>(height: usize, width: usize, rows: Range<usize>, max: P, largest: u64) {
    let of = ImageSpec { shape: ImageShape::gray(height, width).unwrap(), scale: 1.0 };
    let pixels: Vec<P> = (0..of.shape.values()).map(|i| if i % width % 4 < 2 { P::default() } else { max }).collect();
    let (grid, band) = (Grid::new(of), Band { of, rows });
    // Where the brightness rises to the right: beside the edge, but not where the edge would be beyond the border.
    let rises = |x: &usize| x % 4 == 2 || x % 4 == 1 && x + 1 < width;
    let rising = |column| (grid.columns[column]..grid.columns[column + 1]).filter(rises).count();
    let wanted: Vec<u64> = (0..WINDOWS * WINDOWS)
        .map(|window| {
            let weigh = |first: usize, pixels: &dyn Fn(usize) -> usize| -> usize {
                WEIGHTS.iter().enumerate().map(|(at, weight)| weight * pixels(2 * first + at)).sum()
            };
            let rows = weigh(window / WINDOWS, &|cell| grid.cell_rows(cell, &band.rows).len());
            (rows * weigh(window % WINDOWS, &rising)) as u64 * largest
        })
        .collect();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let mut windows = Windows::new();
        run_kernel(level, BandKernel { band: &band, image: &pixels, windows: &mut windows });
        let got: Vec<u64> = windows.iter().map(|window| window[0]).collect();
        assert_eq!(got, wanted, "{level}, {height}x{width}");
    }
}

#[test]
fn the_largest_cells_do_not_overflow() {
    stripes::<u8>(300, 65_536, 0..300, 255, 255);
    stripes::<u16>(70, 65_536, 3..67, 65_535, 65_535);
    stripes::<u8>(65_536, 6, 100..65_530, 255, 255);
    stripes::<u16>(65_536, 6, 0..65_536, 65_535, 65_535);
}
