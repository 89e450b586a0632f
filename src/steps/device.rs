//! Steps on a device: their shaders, and the records and tables that tell it what to do.

use std::collections::HashMap;

use super::noise::Normal;
use super::{Filter, LUMA_WEIGHTS, RECORD_WORDS, Step, resample, resized};
use crate::base::shape::{ImageShape, PixelType};

/// Steps that share a file of WGSL: a function for each, of its name. `shaders/steps.wgsl` says what it can call.
struct Group {
    wgsl: &'static str,
    steps: &'static [&'static str],
    /// Whether the steps only move values, which can be floats then.
    floats: bool,
}

/// A file may call functions of those before it.
const GROUPS: [Group; 9] = [
    Group {
        wgsl: include_str!("../../shaders/steps_geometry.wgsl"),
        steps: &["identity", "flip_x", "flip_y", "crop", "erase", "crop_resize_nearest"],
        floats: true,
    },
    Group { wgsl: include_str!("../../shaders/steps_affine.wgsl"), steps: &["affine"], floats: true },
    Group { wgsl: include_str!("../../shaders/steps_bilinear.wgsl"), steps: &["affine_bilinear"], floats: false },
    Group {
        wgsl: include_str!("../../shaders/steps_points.wgsl"),
        steps: &["brightness", "posterize", "solarize", "invert"],
        floats: false,
    },
    Group {
        wgsl: include_str!("../../shaders/steps_colour.wgsl"),
        steps: &["gray", "luma", "saturation", "hue"],
        floats: false,
    },
    Group {
        wgsl: include_str!("../../shaders/steps_measures.wgsl"),
        steps: &["contrast", "autocontrast", "equalize"],
        floats: false,
    },
    Group { wgsl: include_str!("../../shaders/steps_neighbours.wgsl"), steps: &["sharpness", "blur"], floats: false },
    Group { wgsl: include_str!("../../shaders/steps_resized.wgsl"), steps: &["crop_resize", "resize"], floats: false },
    Group { wgsl: include_str!("../../shaders/steps_noise.wgsl"), steps: &["noise"], floats: false },
];

fn groups(pixel_type: PixelType) -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().filter(move |group| group.floats || pixel_type != PixelType::F32)
}

/// The WGSL of all steps that a device applies to pixels of this type, with their codes as constants, and the function
/// `step_value` that calls the one of the step at hand.
pub(crate) fn shaders(pixel_type: PixelType) -> String {
    let steps =
        || Step::TABLE.iter().filter(move |(_, name)| groups(pixel_type).any(|group| group.steps.contains(name)));
    let codes: String =
        steps().map(|(code, name)| format!("const CODE_{}: u32 = {code}u;\n", name.to_ascii_uppercase())).collect();
    let weights = ["RED", "GREEN", "BLUE"].iter().zip(LUMA_WEIGHTS);
    let weights: String = weights.map(|(name, weight)| format!("const {name}: u32 = {weight}u;\n")).collect();
    let cases: String = steps()
        .map(|(code, name)| format!("        case {code}u: {{\n            return {name}(place);\n        }}\n"))
        .collect();
    let files: String = groups(pixel_type).map(|group| group.wgsl).collect();
    format!(
        "{codes}{weights}{files}fn step_value(place: Place) -> u32 {{\n    switch u32(args[0]) {{\n{cases}        \
         default: {{\n            return 0u;\n        }}\n    }}\n}}\n"
    )
}

const ERASE: u32 = Step::Erase { y: 0, x: 0, height: 0, width: 0, fill: 0 }.code();
const CROP_RESIZE: u32 = Step::CropResize { y: 0, x: 0, height: 0, width: 0, to_height: 0, to_width: 0 }.code();
const RESIZE: u32 = Step::Resize { height: 0, width: 0, area: 0 }.code();
const NOISE: u32 = Step::Noise { key_0: 0, key_1: 0, sigma: 0 }.code();
const MEASURED: u32 =
    1 << Step::Contrast { factor: 0 }.code() | 1 << Step::Autocontrast {}.code() | 1 << Step::Equalize {}.code();

/// Kinds of steps, one bit for each code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u32);

impl Kinds {
    pub fn add(&mut self, record: &[u32]) {
        self.0 |= 1 << record[0];
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether images stay as they are.
    pub fn are_identity(self) -> bool {
        self.0 & !1 == 0
    }

    /// Whether some step needs what is measured over the whole image.
    pub fn are_measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    /// Whether [`Tables::complete`] has something to do.
    pub fn need_tables(self, pixel_type: PixelType) -> bool {
        let floats = if pixel_type == PixelType::F32 { 1 << ERASE } else { 0 };
        self.0 & (1 << CROP_RESIZE | 1 << RESIZE | 1 << NOISE | floats) != 0
    }
}

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Table {
    /// The weights of `crop_resize` from one length to another.
    Window(usize, usize),
    /// The weights of `resize` from one length to another.
    Whole(usize, usize, Filter),
    /// The quantiles of the normal distribution.
    Normal,
}

/// The tables that the records of some images refer to.
#[derive(Debug)]
pub(crate) struct Tables {
    pixel_type: PixelType,
    words: Vec<u32>,
    /// Where each begins.
    places: HashMap<Table, u32>,
}

impl Tables {
    pub fn new(pixel_type: PixelType) -> Self {
        Self { pixel_type, words: Vec::new(), places: HashMap::new() }
    }

    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Sets the words of a record of [`Step::record`] that a device needs in another form: the place of its table, or a
    /// float as its bits. The step is one for images of shape `from`.
    pub fn complete(&mut self, record: &mut [u32], from: ImageShape) {
        let length = |word: u32| word as usize;
        match record[0] {
            ERASE if self.pixel_type == PixelType::F32 => record[5] = (record[5] as i32 as f32).to_bits(),
            CROP_RESIZE => {
                let [across, down] =
                    [[4, 6], [3, 5]].map(|[old, new]| Table::Window(length(record[old]), length(record[new])));
                [record[5], record[6]] = [self.place(across), self.place(down)];
            }
            RESIZE => {
                let filter = if record[3] == 1 { Filter::Area } else { Filter::Bilinear };
                let across = Table::Whole(from.width(), length(record[2]), filter);
                let down = Table::Whole(from.height(), length(record[1]), filter);
                [record[5], record[6]] = [self.place(across), self.place(down)];
            }
            NOISE => record[4] = self.place(Table::Normal),
            _ => {}
        }
    }

    fn place(&mut self, table: Table) -> u32 {
        let (words, pixel_type) = (&mut self.words, self.pixel_type);
        *self.places.entry(table).or_insert_with(|| {
            let place = words.len() as u32;
            match table {
                Table::Window(from, to) => resized::write_side(from, to, pixel_type, words),
                Table::Whole(from, to, filter) => resample::write_side(from, to, filter, words),
                Table::Normal => words.extend(Normal::shared().words()),
            }
            place
        })
    }
}

const _: () = assert!(RECORD_WORDS == 8, "places of arguments in records");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_in_one_group() {
        for (code, name) in Step::TABLE {
            let groups = GROUPS.iter().filter(|group| group.steps.contains(name)).count();
            assert_eq!(groups, 1, "{name}");
            assert!(*code < u32::BITS, "a bit for each code");
        }
        let named: usize = GROUPS.iter().map(|group| group.steps.len()).sum();
        assert_eq!(named, Step::TABLE.len());
    }

    #[test]
    fn equal_tables_are_written_once() {
        let mut tables = Tables::new(PixelType::U8);
        let step = Step::CropResize { y: 1, x: 2, height: 9, width: 9, to_height: 7, to_width: 7 };
        let mut record = step.record();
        tables.complete(&mut record, ImageShape::gray(20, 20).unwrap());
        assert_eq!((record[1..5].to_vec(), record[5], record[6]), (vec![1, 2, 9, 9], 0, 0));
        let (taps, words) = (tables.words()[0] as usize, tables.words().len());
        assert_eq!(words, 2 + 7 + 7 * taps);
        let mut noise = Step::Noise { key_0: 1, key_1: 2, sigma: 3 }.record();
        tables.complete(&mut noise, ImageShape::gray(20, 20).unwrap());
        assert_eq!((noise[4] as usize, tables.words().len()), (words, words + 4097));
    }
}
