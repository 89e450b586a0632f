//! The shaders, composed of their parts. Feature kernels: the numbers of a plan, workgroup memory, the frame, and feature
//! families. Kernels of steps: a frame and the steps.

use std::fmt::Write;

use super::layout::{HALF_WORDS, MEASURED_PIXELS, MEASURES, PART_WORDS, StepParams, WORKGROUP_BYTES};
use super::plan::BlockPlan;
use crate::base::shape::PixelType;
use crate::features::FeatureSet;
use crate::features::family::DeviceForm;
use crate::steps::device::shaders;

/// Where kernels have the numbers of a plan from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Numbers {
    /// From pipeline constants: the driver sees literal sizes, and each plan has pipelines of its own.
    Constants,
    /// From the params of each dispatch: the same pipelines serve every plan.
    Params,
}

const FRAME: &str = include_str!("../../shaders/frame.wgsl");
const FINISH: &str = include_str!("../../shaders/finish.wgsl");
const STEPS: &str = include_str!("../../shaders/steps.wgsl");
const STEPS_WIDE: &str = include_str!("../../shaders/steps_wide.wgsl");
const STEPS_WIDE_MEASURES: &str = include_str!("../../shaders/steps_wide_measures.wgsl");
const STEPS_WHOLE: &str = include_str!("../../shaders/steps_whole.wgsl");
const STEPS_WHOLE_MEASURES: &str = include_str!("../../shaders/steps_whole_measures.wgsl");
const STEPS_WHOLE_FLOATS: &str = include_str!("../../shaders/steps_whole_floats.wgsl");
const MEMORY_SIZED: &str = include_str!("../../shaders/memory_sized.wgsl");
const MEMORY_FIXED: &str = include_str!("../../shaders/memory_fixed.wgsl");

/// The WGSL of all kernels of a feature set and a pixel type.
pub(super) fn compose(set: &FeatureSet, pixel_type: PixelType, numbers: Numbers) -> String {
    let memory = match numbers {
        Numbers::Constants => MEMORY_SIZED,
        Numbers::Params => MEMORY_FIXED,
    };
    let finish = set.device_form(pixel_type) == DeviceForm::Features;
    let names: Vec<&str> = set.features().iter().map(|feature| feature.name()).collect();
    let mut source = declarations(set, pixel_type, numbers);
    source.push_str(&calls(&names, finish));
    source.push_str(memory);
    source.push_str(FRAME);
    for feature in set.features() {
        feature.family().shaders(pixel_type).iter().for_each(|part| source.push_str(part));
    }
    if finish {
        source.push_str(FINISH);
    }
    source
}

/// Which images the kernels of steps are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum StepFrame {
    /// Images of any size: a slot a dispatch.
    Wide,
    /// Images that fit workgroup memory twice: all slots in one dispatch.
    Whole,
}

/// The WGSL of the kernels of steps for a pixel type.
pub(super) fn compose_steps(frame: StepFrame, pixel_type: PixelType) -> String {
    let members: String = StepParams::NAMES.iter().map(|name| format!("    {name}: u32,\n")).collect();
    let largest = if pixel_type == PixelType::U8 { 255 } else { 65_535 };
    let floats = pixel_type == PixelType::F32;
    let frames: &[&str] = match (frame, floats) {
        (StepFrame::Wide, false) => &[STEPS_WIDE, STEPS_WIDE_MEASURES],
        (StepFrame::Wide, true) => &[STEPS_WIDE],
        (StepFrame::Whole, false) => &[STEPS_WHOLE, STEPS_WHOLE_MEASURES],
        (StepFrame::Whole, true) => &[STEPS_WHOLE, STEPS_WHOLE_FLOATS],
    };
    format!(
        "struct StepParams {{\n{members}}}\nconst VALUE_BYTES: u32 = {}u;\nconst LARGEST: u32 = {largest}u;\n\
         const MEASURES: u32 = {MEASURES}u;\nconst HALF_WORDS: u32 = {HALF_WORDS}u;\n\
         const PART_WORDS: u32 = {PART_WORDS}u;\nconst MEASURED_PIXELS: u32 = {MEASURED_PIXELS}u;\n{STEPS}{}{}",
        pixel_type.bytes(),
        frames.concat(),
        shaders(pixel_type),
    )
}

/// `Params`, constants, and a function for each number of the plan.
fn declarations(set: &FeatureSet, pixel_type: PixelType, numbers: Numbers) -> String {
    let names = BlockPlan::number_names(set, pixel_type);
    let members: String = names.iter().map(|name| format!("    {name}: u32,\n")).collect();
    let mut source = format!(
        "struct Params {{\n    first: u32,\n    images: u32,\n    height: u32,\n    image_height: u32,\n    \
         first_row: u32,\n    rows_above: u32,\n    stride: u32,\n    scale: f32,\n\
         {members}}}\n\
         const VALUE_BYTES: u32 = {}u;\nconst WORKGROUP_WORDS: u32 = {}u;\n",
        pixel_type.bytes(),
        WORKGROUP_BYTES / size_of::<u32>(),
    );
    for name in names {
        let _ = match numbers {
            Numbers::Constants => {
                let constant = constant(&name);
                writeln!(source, "override {constant}: u32;\nfn {name}() -> u32 {{ return {constant}; }}")
            }
            Numbers::Params => writeln!(source, "fn {name}() -> u32 {{ return params.{name}; }}"),
        };
    }
    source
}

/// The pipeline constant of a number of the plan.
pub(super) fn constant(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// How the frame calls the families, and where the part of each begins in a record.
fn calls(families: &[&str], finish: bool) -> String {
    let mut source = String::new();
    let (mut at, mut to) = ("0u".to_owned(), "0u".to_owned());
    for family in families {
        let _ = write!(
            source,
            "fn {family}_at() -> u32 {{ return {at}; }}\n\
             fn {family}_to() -> u32 {{ return {to}; }}\n\
             fn {family}_result_words() -> u32 {{\n\
             \x20   return select({family}_words(), {family}_merged_words(), tiled() == 1u);\n}}\n"
        );
        at = format!("{family}_at() + {family}_words()");
        to = format!("{family}_to() + {family}_result_words()");
    }
    let each = |text: &dyn Fn(&str) -> String| families.iter().map(|family| text(family)).collect::<String>();
    let sum = |name: &str| families.iter().map(|family| format!("{family}_{name}()")).collect::<Vec<_>>().join(" + ");
    let tasks = each(&|family| {
        format!(
            "    for (var task = me; task < {family}_tasks(block); task += GROUP) {{\n\
             \x20       {family}_task(block, task, {family}_at());\n    }}\n"
        )
    });
    let merges = each(&|family| {
        format!(
            "    if task < {family}_merge_tasks() {{\n\
             \x20       {family}_merge(image, task, {family}_at(), image * result_words() + {family}_to());\n\
             \x20       return;\n    }}\n    task -= {family}_merge_tasks();\n"
        )
    });
    let _ = write!(
        source,
        "fn result_words() -> u32 {{ return {}; }}\n\
         fn merge_tasks() -> u32 {{ return {}; }}\n\
         fn run_tasks(me: u32, block: Block) {{\n{tasks}}}\n\
         fn merge_task(image: u32, first_task: u32) {{\n    var task = first_task;\n{merges}}}\n",
        sum("result_words"),
        sum("merge_tasks"),
    );
    if finish {
        let finishes =
            each(&|family| format!("    {family}_finish(me, record + {family}_to(), to + {family}_first());\n"));
        let _ = write!(source, "fn finish_families(me: u32, record: u32, to: u32) {{\n{finishes}}}\n");
    }
    source
}
