//! The values of a feature set: where each block of them is in the list, and from where to where they reach.

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

    /// The lowest and the highest value of a block; `None` if there were no rows.
    pub fn of(&self, block: &ListBlock) -> Option<(f32, f32)> {
        let of_rows = self.0.get(block.range.clone()).unwrap_or_default();
        let low = of_rows.iter().fold(f32::INFINITY, |low, range| low.min(range.0));
        let high = of_rows.iter().fold(f32::NEG_INFINITY, |high, range| high.max(range.1));
        (low <= high).then_some((low, high))
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
        assert_eq!(ranges.of(last), None);
        ranges.add(&[0.5; 13]);
        ranges.add(&[-1.25; 13]);
        assert_eq!((ranges.of(last), last.first.as_str()), (Some((-1.25, 0.5)), "histogram_0"));
    }
}
