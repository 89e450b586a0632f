//! The first images on one sheet, each with the profiles of its rows and columns and its centroid.

use pixelfeat::ImageShape;

type Colour = [u8; 3];

const GROUND: Colour = [18, 20, 26];
const STRIP: Colour = [30, 34, 43];
const TEXT: Colour = [130, 138, 152];
const LABEL: Colour = [255, 196, 87];
const CENTRE: Colour = [255, 72, 96];
/// Profiles of a gray image, and of the channels of others.
const PROFILES: [Colour; 5] = [[86, 190, 220], [240, 100, 100], [110, 210, 120], [100, 140, 250], [170, 170, 170]];

/// Images on a sheet, and in a line of it.
const MOST: usize = 40;
const IN_LINE: usize = 8;
/// The longer side of an image on the sheet, about, and what lies around it.
const SIDE: usize = 112;
const PROFILE: usize = 28;
const GAP: usize = 2;
const MARGIN: usize = 14;
const HEAD: usize = 14;

/// An image as it is drawn.
struct Drawn {
    row: u64,
    values: Vec<f64>,
    features: Vec<f32>,
    label: Option<u64>,
}

/// The sheet, which takes images of one shape until it is full.
#[derive(Default)]
pub struct Sheet {
    shape: Option<ImageShape>,
    drawn: Vec<Drawn>,
}

impl Sheet {
    /// How many more images it takes.
    pub fn room(&self) -> usize {
        MOST - self.drawn.len()
    }

    /// How many it has.
    pub fn images(&self) -> usize {
        self.drawn.len()
    }

    /// Takes the image of a row: its values, its features, and its label if that is a number.
    pub fn add(&mut self, shape: ImageShape, row: u64, values: Vec<f64>, features: Vec<f32>, label: Option<u64>) {
        self.shape = Some(shape);
        self.drawn.push(Drawn { row, values, features, label });
    }

    /// The sheet as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let shape = self.shape.ok_or("there is no image to draw")?;
        let (high, wide) = size(shape);
        let cell = (HEAD + high + GAP + PROFILE + MARGIN, wide + GAP + PROFILE + MARGIN);
        let lines = self.drawn.len().div_ceil(IN_LINE);
        let across = self.drawn.len().min(IN_LINE);
        let mut canvas = Canvas::new(lines * cell.0 + MARGIN, across * cell.1 + MARGIN);
        let values = || self.drawn.iter().flat_map(|drawn| &drawn.values);
        // Black is 0, or the lowest value where there are lower ones; white the highest.
        let low = values().fold(0.0, |low: f64, &value| low.min(value));
        let high_value = values().fold(low, |high: f64, &value| high.max(value));
        let shade = |value: f64| (255.0 * (value - low) / (high_value - low).max(1e-300)).round() as u8;
        for (at, drawn) in self.drawn.iter().enumerate() {
            let corner = (MARGIN + at / IN_LINE * cell.0, MARGIN + at % IN_LINE * cell.1);
            drawn.draw(shape, corner, &shade, &mut canvas);
        }
        canvas.png()
    }
}

/// Height and width of an image on the sheet: small ones grow by a whole factor, large ones shrink.
fn size(shape: ImageShape) -> (usize, usize) {
    let (height, width) = (shape.height(), shape.width());
    let longer = height.max(width);
    if longer <= SIDE {
        let factor = (SIDE + longer / 2) / longer;
        return (height * factor, width * factor);
    }
    let most = 2 * SIDE;
    let shrunk = |side: usize| if longer <= most { side } else { (side * most / longer).max(1) };
    (shrunk(height), shrunk(width))
}

impl Drawn {
    fn draw(&self, shape: ImageShape, corner: (usize, usize), shade: &impl Fn(f64) -> u8, canvas: &mut Canvas) {
        let (top, left) = (corner.0 + HEAD, corner.1);
        let (high, wide) = size(shape);
        let (height, width, channels) = (shape.height(), shape.width(), shape.channels());
        let after = canvas.number(self.row, corner, TEXT);
        if let Some(label) = self.label {
            canvas.number(label, (corner.0, after + 6), LABEL);
        }
        for y in 0..high {
            for x in 0..wide {
                let at = ((y * height / high) * width + x * width / wide) * channels;
                let value = |c: usize| shade(self.values[at + c]);
                let colour = if channels < 3 { [value(0); 3] } else { [value(0), value(1), value(2)] };
                canvas.dot(top + y, left + x, colour);
            }
        }
        let below = top + high + GAP;
        let beside = left + wide + GAP;
        canvas.fill((top, beside), (high, PROFILE), STRIP);
        canvas.fill((below, left), (PROFILE, wide), STRIP);
        let per_channel = height + width + 4;
        for (c, features) in self.features.chunks_exact(per_channel).enumerate() {
            let colour = if channels == 1 { PROFILES[0] } else { PROFILES[1 + c] };
            let (rows, columns) = (&features[..height], &features[height..height + width]);
            for (y, length) in bars(rows, high).enumerate() {
                match channels {
                    1 => canvas.fill((top + y, beside), (1, length), colour),
                    // Lines, so that each channel is seen.
                    _ => canvas.dot(top + y, beside + length.saturating_sub(1), colour),
                }
            }
            for (x, length) in bars(columns, wide).enumerate() {
                match channels {
                    1 => canvas.fill((below, left + x), (length, 1), colour),
                    _ => canvas.dot(below + length.saturating_sub(1), left + x, colour),
                }
            }
            // A centroid is that of the pixels' upper left corners, in sides.
            let [cy, cx] = [features[height + width], features[height + width + 1]];
            let at = |part: f32, side: usize, drawn: usize| {
                let middle = (f64::from(part) + 0.5 / side as f64) * drawn as f64;
                (middle.max(0.0) as usize).min(drawn - 1)
            };
            let (y, x) = (at(cy, height, high), at(cx, width, wide));
            let colour = if channels == 1 { CENTRE } else { PROFILES[1 + c] };
            canvas.cross((top, left), (high, wide), (y, x), colour);
        }
    }
}

/// A profile as the length of a bar for each of `places`, the largest as long as there is room.
fn bars(profile: &[f32], places: usize) -> impl Iterator<Item = usize> {
    let largest = profile.iter().fold(0.0f32, |largest, &value| largest.max(value)).max(f32::MIN_POSITIVE);
    (0..places).map(move |at| {
        let value = profile[at * profile.len() / places].max(0.0) / largest;
        (value * PROFILE as f32).round() as usize
    })
}

struct Canvas {
    width: usize,
    dots: Vec<Colour>,
}

impl Canvas {
    fn new(height: usize, width: usize) -> Self {
        Self { width, dots: vec![GROUND; height * width] }
    }

    fn dot(&mut self, y: usize, x: usize, colour: Colour) {
        self.dots[y * self.width + x] = colour;
    }

    fn fill(&mut self, corner: (usize, usize), size: (usize, usize), colour: Colour) {
        for y in corner.0..corner.0 + size.0 {
            self.dots[y * self.width + corner.1..][..size.1].fill(colour);
        }
    }

    /// A cross with a dark edge, of which only what lies within the box is drawn.
    fn cross(&mut self, corner: (usize, usize), size: (usize, usize), centre: (usize, usize), colour: Colour) {
        const ARM: isize = 6;
        let mut within = |dy: isize, dx: isize, colour| {
            let (y, x) = (centre.0.checked_add_signed(dy), centre.1.checked_add_signed(dx));
            if let (Some(y), Some(x)) = (y.filter(|&y| y < size.0), x.filter(|&x| x < size.1)) {
                self.dot(corner.0 + y, corner.1 + x, colour);
            }
        };
        for edge in [true, false] {
            let (reach, thick) = if edge { (ARM + 1, 1) } else { (ARM, 0) };
            for along in -reach..=reach {
                for beside in -thick..=thick {
                    let colour = if edge { GROUND } else { colour };
                    within(along, beside, colour);
                    within(beside, along, colour);
                }
            }
        }
    }

    /// Draws a number in digits of 3 by 5 dots, twice as large; says where it ends.
    fn number(&mut self, number: u64, corner: (usize, usize), colour: Colour) -> usize {
        // A bit a dot, line by line from the top left.
        const DIGITS: [u16; 10] = [
            0b111_101_101_101_111,
            0b010_110_010_010_111,
            0b111_001_111_100_111,
            0b111_001_111_001_111,
            0b101_101_111_001_001,
            0b111_100_111_001_111,
            0b111_100_111_101_111,
            0b111_001_010_010_010,
            0b111_101_111_101_111,
            0b111_101_111_001_111,
        ];
        let mut left = corner.1;
        for digit in number.to_string().bytes() {
            let dots = DIGITS[usize::from(digit - b'0')];
            for bit in (0..15).filter(|bit| dots >> (14 - bit) & 1 == 1) {
                let (y, x) = (corner.0 + bit / 3 * 2, left + bit % 3 * 2);
                if x + 2 < self.width {
                    self.fill((y, x), (2, 2), colour);
                }
            }
            left += 8;
        }
        left
    }

    fn png(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let height = self.dots.len() / self.width;
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(self.dots.as_flattened()));
        written.map(|()| bytes).map_err(|e| e.to_string())
    }
}
