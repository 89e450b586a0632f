//! How the values of a column are distributed, drawn.

use super::super::chart::{Axis, Bar, Histogram, bars, histogram};
use super::super::markup::Figure;
use super::super::number::{compact, date};
use crate::quality::column::{ColumnProfile, Values};
use crate::quality::numbers;

/// Steps of a histogram.
const STEPS: usize = 40;
/// Numbers with at most so many different values are categories, and so many categories of text are drawn.
const CATEGORIES: usize = 12;

/// The values of a column as something that can be drawn.
enum Shape {
    Categories(Vec<(String, u64)>),
    /// Values in their order with counts, their ends, and what they are.
    Numbers(Vec<(f64, u64)>, (f64, f64), Axis, &'static str),
}

/// A drawing of a column, with the reference's in it if both are of one kind. `None` if it has no values that can be drawn.
pub(super) fn figure(column: &ColumnProfile, reference: Option<&ColumnProfile>, mut caption: String) -> Option<Figure> {
    let mut own = shape(column)?;
    let mut theirs = reference.and_then(shape);
    if let (Shape::Numbers(..), Some(Shape::Categories(_))) | (Shape::Categories(_), Some(Shape::Numbers(..))) =
        (&own, &theirs)
    {
        // One side has few different values: both are numbers.
        own = as_numbers(column).unwrap_or(own);
        theirs = reference.and_then(as_numbers);
    }
    let svg = match own {
        Shape::Categories(all) => {
            let theirs = match theirs {
                Some(Shape::Categories(theirs)) => Some(theirs),
                _ => None,
            };
            let all = Bar::all(&all, theirs.as_deref());
            if all.len() > CATEGORIES {
                caption = format!("the first {CATEGORIES} of {} values. {caption}", all.len());
            }
            bars(column.name(), &all[..all.len().min(CATEGORIES)])
        }
        Shape::Numbers(sorted, ends, axis, what) => {
            let theirs = match &theirs {
                Some(Shape::Numbers(sorted, ends, of, _)) if *of == axis => Some((sorted, *ends)),
                _ => None,
            };
            if !what.is_empty() {
                caption = format!("{what}. {caption}");
            }
            let (low, high) = theirs.map_or(ends, |(_, other)| (ends.0.min(other.0), ends.1.max(other.1)));
            let range = (low, high);
            let (_, counts) = numbers::histogram(&sorted, Some(range), STEPS)?;
            let reference = theirs.and_then(|(sorted, _)| numbers::histogram(sorted, Some(range), STEPS));
            let is_root = column.name().starts_with("pixels.");
            let of = Histogram {
                range,
                axis,
                counts: &counts,
                reference: reference.as_ref().map(|(_, counts)| &counts[..]),
                is_root,
            };
            histogram(column.name(), &of)
        }
    };
    Some(Figure { svg, title: column.name().to_owned(), caption })
}

fn shape(column: &ColumnProfile) -> Option<Shape> {
    match &column.values {
        Values::Number(of) => {
            let few = of.grid.sorted().filter(|values| values.len() <= CATEGORIES && !values.is_empty());
            let is_category = !column.name().contains('.');
            let told = |values: Vec<(f64, u64)>| {
                Shape::Categories(values.into_iter().map(|(value, count)| (compact(value), count)).collect())
            };
            few.filter(|_| is_category).map(told).or_else(|| as_numbers(column))
        }
        // If no value comes twice, the values say little.
        Values::Text(of) => match of.counts.most_common(usize::MAX) {
            Some(counts) if counts.first().is_some_and(|(_, count)| *count > 1) => Some(Shape::Categories(counts)),
            _ => as_numbers(column),
        },
        _ => as_numbers(column),
    }
}

fn as_numbers(column: &ColumnProfile) -> Option<Shape> {
    let (values, numbers, axis, what) = match &column.values {
        Values::Number(of) => (of.sorted(), &of.numbers, Axis::Numbers, ""),
        Values::Time(of) => (of.sorted(), &of.numbers, Axis::Times, ""),
        Values::Text(of) => (of.lengths.bins(), &of.lengths, Axis::Numbers, "Lengths"),
        Values::List(of) => (of.items.bins(), &of.items, Axis::Numbers, "Items"),
        Values::Other => return None,
    };
    Some(Shape::Numbers(values, numbers.min().zip(numbers.max())?, axis, what))
}

/// The mean and deviation of a column in words; empty if it has no numbers.
pub(super) fn summary(column: &ColumnProfile) -> String {
    match &column.values {
        Values::Number(of) => match (of.numbers.mean(), of.numbers.std()) {
            (Some(mean), Some(std)) => format!("mean {}, deviation {}", compact(mean), compact(std)),
            _ => String::new(),
        },
        Values::Time(of) => of.numbers.mean().map(|mean| format!("mean {}", date(mean))).unwrap_or_default(),
        _ => String::new(),
    }
}
