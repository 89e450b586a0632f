//! The values of a feature set: where each block of them is in the list, and from where to where they reach.

use std::fmt::Write as _;
use std::ops::Range;

use pixelfeat::{Feature, FeatureLayout};

/// A block of values of the feature list.
#[derive(Debug, Clone)]
pub struct ListBlock {
    pub feature: Feature,
    pub name: String,
    /// Where its values are in the list.
    pub range: Range<usize>,
    pub first: String,
    pub last: String,
}

/// The blocks of the list, in order.
pub fn list_blocks(layout: &FeatureLayout) -> Vec<ListBlock> {
    let mut start = 0;
    let blocks = layout.blocks().into_iter().filter(|block| !block.is_column);
    let placed = blocks.map(|block| {
        let range = start..start + block.values.len();
        start = range.end;
        let [first, last] = [block.values.first(), block.values.last()].map(|name| name.cloned().unwrap_or_default());
        ListBlock { feature: block.feature, name: block.name, range, first, last }
    });
    placed.collect()
}

/// The lowest and the highest value of each place of the list, over all rows so far.
#[derive(Debug, Default)]
pub struct Ranges(Vec<(f32, f32)>);

impl Ranges {
    pub fn add(&mut self, row: &[f32]) {
        self.0.resize(row.len(), (f32::INFINITY, f32::NEG_INFINITY));
        for ((low, high), &value) in self.0.iter_mut().zip(row) {
            (*low, *high) = (low.min(value), high.max(value));
        }
    }

    /// A line for each block: its name, its places in the list, the names of its values, and their range.
    pub fn describe(&self, blocks: &[ListBlock], text: &mut String) {
        let names = |block: &ListBlock| match block.range.len() {
            1 => block.first.clone(),
            _ => format!("{} … {}", block.first, block.last),
        };
        let width = |length: &dyn Fn(&ListBlock) -> usize| blocks.iter().map(length).max().unwrap_or(0);
        let (name_width, names_width) = (width(&|b| b.name.chars().count()), width(&|b| names(b).chars().count()));
        for block in blocks {
            let place = format!("{}..{}", block.range.start, block.range.end);
            let _ = write!(text, "  {:name_width$}  {place:9}  {:names_width$}", block.name, names(block));
            let of_rows = self.0.get(block.range.clone()).unwrap_or_default();
            let low = of_rows.iter().fold(f32::INFINITY, |low, range| low.min(range.0));
            let high = of_rows.iter().fold(f32::NEG_INFINITY, |high, range| high.max(range.1));
            let _ = if low <= high { writeln!(text, "  {low:.4} to {high:.4}") } else { writeln!(text) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_placed_in_the_list_without_the_columns() {
        let set: pixelfeat::FeatureSet = "profiles,histogram:4".parse().unwrap();
        let blocks = list_blocks(&set.layout("2x3".parse().unwrap(), 255.0).unwrap());
        let last = blocks.last().unwrap();
        assert_eq!((last.name.as_str(), last.range.clone(), last.last.as_str()), ("histogram", 9..13, "histogram_3"));
        let mut ranges = Ranges::default();
        ranges.add(&[0.5; 13]);
        ranges.add(&[-1.25; 13]);
        let mut text = String::new();
        ranges.describe(&blocks, &mut text);
        assert!(text.lines().last().unwrap().ends_with("histogram_0 … histogram_3  -1.2500 to 0.5000"), "{text}");
    }
}
