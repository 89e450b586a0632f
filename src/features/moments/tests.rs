use super::*;
use crate::base::random::Random;

fn of(height: usize, width: usize, scale: f64) -> ImageSpec {
    ImageSpec { shape: ImageShape::gray(height, width).unwrap(), scale }
}

fn values<'a>(of: ImageSpec, pixels: impl Into<PixelSlice<'a>>) -> Vec<f32> {
    let bands = Moments.sum_band(Level::detect(), &Band { of, rows: 0..of.shape.height() }, pixels.into());
    let mut row = vec![f32::NAN; VALUES];
    Moments.finish_bands(of, vec![bands], &mut row);
    row
}

/// Whether two values agree to seven digits, where the libraries' own f64 have as many.
fn agree(got: f32, want: f64) -> bool {
    (f64::from(got) - want).abs() <= 2e-7 * want.abs() + 1e-12
}

#[test]
fn values_are_those_of_opencv_and_of_scikit_image() {
    let mut images = 0;
    for line in include_str!("../../../tests/fixtures/moments.txt").lines().filter(|line| !line.starts_with('#')) {
        let [shape, pixels, nu, hu, other_hu] = line.split('|').collect::<Vec<_>>().try_into().unwrap();
        let numbers = |text: &str| text.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<f64>>();
        let of = ImageSpec { shape: shape.parse().unwrap(), scale: 255.0 };
        let pixels: Vec<u8> = numbers(pixels).into_iter().map(|pixel| pixel as u8).collect();
        let want: Vec<f64> = [numbers(nu), numbers(hu)].concat();
        let floats: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
        let wide: Vec<u16> = pixels.iter().map(|&pixel| 257 * u16::from(pixel)).collect();
        let got = values(of, &pixels);
        assert!(got.iter().zip(&want).all(|(&got, &want)| agree(got, want)), "{shape}: {got:?}, not {want:?}");
        // The same brightness in another type.
        let of_wide = values(ImageSpec { scale: 65_535.0, ..of }, &wide);
        assert!(of_wide.iter().zip(&want).all(|(&got, &want)| agree(got, want)), "{shape}: {of_wide:?}, not {want:?}");
        assert!(values(of, &floats).iter().zip(&want).all(|(&got, &want)| agree(got, want)), "{shape}, floats");
        // Scikit-image has another sign in the last.
        let mut other = numbers(other_hu);
        other[6] = -other[6];
        assert!(got[7..].iter().zip(&other).all(|(&got, &want)| agree(got, want)), "{shape}: {got:?}, not {other:?}");
        images += 1;
    }
    assert_eq!(images, 6);
}

#[test]
fn black_images_have_zeros() {
    assert_eq!(values(of(5, 7, 255.0), &[0u8; 35][..]), [0.0; VALUES]);
    assert_eq!(values(of(5, 7, 1.0), &[-1.0f32; 35][..]), [0.0; VALUES]);
    assert_eq!(Moments.expected(of(5, 7, 1.0), (&[-1.0f32; 35][..]).into()), [0.0; VALUES]);
}

#[test]
fn position_changes_nothing_and_a_quarter_turn_no_invariant() {
    let mut random = Random::new(3, 0);
    let mut small = vec![0u8; 12 * 12];
    for (y, x) in (0..7).flat_map(|y| (0..5).map(move |x| (y, x))) {
        small[y * 12 + x] = random.bits() as u8;
    }
    let mut moved = vec![0u8; 12 * 12];
    (0..7 * 12).for_each(|i| moved[i + 4 * 12 + 6] = small[i]);
    let turned: Vec<u8> = (0..144).map(|i| small[(11 - i % 12) * 12 + i / 12]).collect();
    let [small, moved, turned] = [small, moved, turned].map(|pixels| values(of(12, 12, 255.0), &pixels));
    assert_eq!(small, moved);
    assert!(small[7..].iter().zip(&turned[7..]).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs()), "{small:?} {turned:?}");
    assert!((small[0] - turned[0]).abs() > 1e-3);
}

#[test]
fn the_largest_sums_stay_exact() {
    // Two dots at the ends of the longest sides: μ of them is known, and each sum of 128 bits is near its largest.
    for (height, width) in [(1, 65_536), (65_536, 1), (300, 65_536)] {
        let mut pixels = vec![0u16; height * width];
        pixels[0] = u16::MAX;
        pixels[height * width - 1] = u16::MAX;
        let got = values(of(height, width, 65_535.0), &pixels);
        let spread = |side: usize| ((side - 1) as f64).powi(2) / 2.0 / 4.0;
        assert!(agree(got[0], spread(width)) && agree(got[2], spread(height)), "{height}x{width}: {got:?}");
        assert_eq!(got[3..7], [0.0; 4]);
    }
}

#[test]
fn parts_move_to_their_places() {
    // One pixel, seen from the origin and as a part that begins at (9, 65,535).
    let mut whole = Binomials::default();
    whole.add_part(0, 0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    whole.add_part(9, 65_535, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let m = whole.about_the_centroid();
    // The centroid is at (6.75, 49,151.25), the nearest pixel at (7, 49,151).
    let (y, x) = ([-7.0, 2.0], [-49_151.0, 16_384.0]);
    let sum = |j: i32, k: i32| {
        [1.0, 3.0].iter().enumerate().map(|(i, p)| p * f64::powi(y[i], j) * f64::powi(x[i], k)).sum::<f64>()
    };
    assert_eq!(m, binomials::ORDERS.map(|(j, k)| sum(j as i32, k as i32)));
}
