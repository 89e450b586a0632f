//! How far two data sets are apart, from their profiles alone.

mod distance;
mod report;
mod special;

use std::collections::BTreeMap;

use self::distance::{
    Pair, decile_shares, histogram_divergence, jensen_shannon, largest_difference, shares, stability,
};
pub use self::report::{ColumnDrift, DriftOptions, DriftReport, DriftTest, MaxDrift};
use super::column::{ColumnProfile, NumberValues, Values};
use super::grid::Grid;
use super::images::{MEASURES, PixelCounts};
use super::numbers::Numbers;
use super::profile::{Profile, Profiler};
use crate::base::error::{Error, Result};
use crate::run::observe::{Observed, Observer};

/// So many rows of the reference decide by a probability; more of them by a distance, because with many rows every
/// difference is significant.
const FEW: u64 = 1_000;
/// So many new or vanished values are told.
const TOLD: usize = 10;

impl Profile {
    /// How far these rows are from those of a reference: every column, feature, measure of the images and channel of pixels, by
    /// the default tests of Evidently 0.7. The rows themselves are not needed.
    ///
    /// Up to 1,000 different values are known exactly, and then all results are exact. Of more values the counts in bins or cells
    /// are known: the Kolmogorov–Smirnov statistic is then that at their edges, and distances are those of their middles. A column that only one of
    /// the two has, or that has another type, has drifted. Text with more than 1,000 different values is compared by its length.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a profile has no rows, or a threshold is for a column that neither has.
    pub fn drift_from(&self, reference: &Profile, options: &DriftOptions) -> Result<DriftReport> {
        let refuse = |why: String| Err(Error::InvalidOption { option: "reference", why });
        if reference.rows == 0 || self.rows == 0 {
            return refuse("a profile without rows cannot be compared".to_owned());
        }
        let [theirs, own] = [reference, self].map(all_columns);
        let known = |name: &String| theirs.iter().chain(&own).any(|column| column.name() == name);
        if let Some(name) = options.thresholds.keys().find(|name| !known(name)) {
            return refuse(format!("there is no column `{name}` for a threshold"));
        }
        let label = self.classes.as_ref().or(reference.classes.as_ref()).map(|classes| classes.label().to_owned());
        let mut columns = Vec::new();
        for column in &theirs {
            let mut drift = match own.iter().find(|own| own.name() == column.name()) {
                Some(own) => compare(column, own, options.thresholds.get(column.name()).copied()),
                None => missing(column.name(), "it has vanished"),
            };
            drift.is_label = label.as_deref() == Some(column.name());
            columns.push(drift);
        }
        let is_new = |own: &&ColumnProfile| !theirs.iter().any(|column| column.name() == own.name());
        columns.extend(own.iter().filter(is_new).map(|own| missing(own.name(), "the reference does not have it")));
        columns.sort_by(|a, b| b.drifted.cmp(&a.drifted).then(b.severity().total_cmp(&a.severity())));
        let drifted = columns.iter().filter(|column| column.drifted).count();
        let drifted = match options.max_drift {
            MaxDrift::Columns(allowed) => drifted as u64 > allowed,
            MaxDrift::Percent(percent) => drifted > 0 && 100.0 * drifted as f64 >= percent * columns.len() as f64,
        };
        Ok(DriftReport { columns, drifted, max_drift: options.max_drift })
    }
}

/// All that is compared, as columns.
pub(super) fn all_columns(profile: &Profile) -> Vec<ColumnProfile> {
    let mut all: Vec<ColumnProfile> = profile.columns.iter().chain(&profile.features).cloned().collect();
    let Some(images) = &profile.images else { return all };
    let numbers = |name: String, values: NumberValues| {
        let rows = values.numbers.count();
        ColumnProfile { name, data_type: "pixels".to_owned(), rows, nulls: 0, values: Values::Number(values) }
    };
    for (name, measure) in MEASURES.iter().zip(&images.measures) {
        let mut values = NumberValues { numbers: measure.clone(), grid: Grid::exact_only(), ..NumberValues::default() };
        values.grid.blur();
        all.push(numbers(format!("image.{name}"), values));
    }
    for (channel, counts) in images.channels.iter().enumerate() {
        let mut values =
            NumberValues { numbers: counts.numbers(), grid: Grid::exact_only(), ..NumberValues::default() };
        match counts {
            PixelCounts::Integers(counts) if counts.len() == 256 => {
                let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
                counts.for_each(|(value, &count)| values.grid.add(value as f64, count));
            }
            _ => values.grid.blur(),
        }
        all.push(numbers(format!("pixels.{channel}"), values));
    }
    all
}

fn missing(name: &str, note: &str) -> ColumnDrift {
    ColumnDrift { drifted: true, note: Some(note.to_owned()), ..ColumnDrift::new(name) }
}

fn compare(reference: &ColumnProfile, current: &ColumnProfile, threshold: Option<f64>) -> ColumnDrift {
    let mut drift = ColumnDrift::new(reference.name());
    drift.nulls = [reference, current].map(|column| column.nulls as f64 / column.rows.max(1) as f64);
    match (&reference.values, &current.values) {
        (Values::Number(reference), Values::Number(current)) | (Values::Time(reference), Values::Time(current)) => {
            let known = reference.grid.len().zip(current.grid.len());
            let pairs = number_pairs(reference, current);
            let different = pairs.len();
            if known.is_some() && different <= 5 {
                categories(&mut drift, &pairs, threshold);
                let told = |value: f64| value.to_string();
                strangers(&mut drift, pairs.iter().map(|pair| (told(pair.value), pair.reference, pair.current)));
            } else {
                compare_numbers(&mut drift, [&reference.numbers, &current.numbers], &pairs, threshold);
            }
        }
        (Values::Text(reference), Values::Text(current)) => {
            match (reference.counts.sorted(), current.counts.sorted()) {
                (Some(theirs), Some(own)) => {
                    let mut all: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
                    theirs.iter().for_each(|(text, count)| all.entry(text).or_default().0 = *count);
                    own.iter().for_each(|(text, count)| all.entry(text).or_default().1 = *count);
                    let counts = all.values().enumerate();
                    let pairs: Vec<Pair> =
                        counts.map(|(at, &(r, c))| Pair { value: at as f64, reference: r, current: c }).collect();
                    categories(&mut drift, &pairs, threshold);
                    strangers(&mut drift, all.iter().map(|(text, &(r, c))| ((*text).to_owned(), r, c)));
                }
                _ => {
                    drift.note = Some("too many different texts: their lengths are compared".to_owned());
                    let pairs = bin_pairs(&reference.lengths, &current.lengths);
                    compare_numbers(&mut drift, [&reference.lengths, &current.lengths], &pairs, threshold);
                }
            }
        }
        (Values::List(reference), Values::List(current)) => {
            let pairs = bin_pairs(&reference.items, &current.items);
            compare_numbers(&mut drift, [&reference.items, &current.items], &pairs, threshold);
        }
        (Values::Other, Values::Other) => drift.note = Some("its values are not compared".to_owned()),
        _ => {
            drift.drifted = true;
            drift.note = Some(format!("its type was {} and is {}", reference.data_type, current.data_type));
        }
    }
    drift
}

/// Values in their order with both counts: exact if both are counted one by one, else cells or bins that both share.
fn number_pairs(reference: &NumberValues, current: &NumberValues) -> Vec<Pair> {
    if let (Some(reference), Some(current)) = (reference.grid.sorted(), current.grid.sorted()) {
        return joined(reference, current);
    }
    if (reference.prefers_grid() || current.prefers_grid()) && !reference.grid.is_closed() && !current.grid.is_closed()
    {
        let level = reference.grid.level().max(current.grid.level());
        return joined(reference.grid.middles(level), current.grid.middles(level));
    }
    bin_pairs(&reference.numbers, &current.numbers)
}

fn bin_pairs(reference: &Numbers, current: &Numbers) -> Vec<Pair> {
    joined(reference.middles(), current.middles())
}

/// Two lists in the order of their values as one.
fn joined(reference: Vec<(f64, u64)>, current: Vec<(f64, u64)>) -> Vec<Pair> {
    let mut all: Vec<Pair> =
        reference.into_iter().map(|(value, count)| Pair { value, reference: count, current: 0 }).collect();
    all.extend(current.into_iter().map(|(value, count)| Pair { value, reference: 0, current: count }));
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all.dedup_by(|next, kept| {
        let is_same = next.value == kept.value;
        if is_same {
            kept.reference += next.reference;
            kept.current += next.current;
        }
        is_same
    });
    all
}

fn sides(pairs: &[Pair]) -> [u64; 2] {
    [pairs.iter().map(|pair| pair.reference).sum(), pairs.iter().map(|pair| pair.current).sum()]
}

fn judge(drift: &mut ColumnDrift, test: DriftTest, value: f64, threshold: Option<f64>) {
    let threshold = threshold.unwrap_or(test.threshold());
    drift.drifted = if test.is_probability() { value < threshold } else { value >= threshold };
    (drift.test, drift.value, drift.threshold) = (Some(test), Some(value), Some(threshold));
}

/// Whether one side has no values at all, in which case nothing else can be said.
fn is_empty(drift: &mut ColumnDrift, pairs: &[Pair]) -> bool {
    match sides(pairs) {
        [0, 0] => drift.note = Some("neither side has a value".to_owned()),
        [0, _] => (drift.drifted, drift.note) = (true, Some("the reference has no value".to_owned())),
        [_, 0] => (drift.drifted, drift.note) = (true, Some("there is no value any more".to_owned())),
        _ => return false,
    }
    true
}

fn compare_numbers(drift: &mut ColumnDrift, both: [&Numbers; 2], pairs: &[Pair], threshold: Option<f64>) {
    let reference = both[0];
    if is_empty(drift, pairs) {
        return;
    }
    let [r, c] = sides(pairs);
    if r <= FEW {
        let p = special::kolmogorov(distance::kolmogorov_smirnov(pairs), r, c);
        judge(drift, DriftTest::KolmogorovSmirnov, p, threshold);
    } else {
        let n = reference.finite as f64;
        let deviation = reference.std().unwrap_or(0.0) * ((n - 1.0) / n).sqrt();
        judge(drift, DriftTest::Wasserstein, distance::wasserstein(pairs) / deviation.max(0.001), threshold);
    }
    drift.psi = Some(stability(decile_shares(pairs).into_iter()));
    drift.divergence = histogram_divergence(pairs, both.map(|numbers| numbers.min().zip(numbers.max())));
}

fn categories(drift: &mut ColumnDrift, pairs: &[Pair], threshold: Option<f64>) {
    if is_empty(drift, pairs) {
        return;
    }
    let [r, c] = sides(pairs).map(|count| count as f64);
    let divergence = jensen_shannon(shares(pairs));
    if r > FEW as f64 {
        judge(drift, DriftTest::JensenShannon, divergence.sqrt(), threshold);
    } else if pairs.len() > 2 {
        let term = |pair: &Pair| {
            let expected = pair.reference as f64 * c / r;
            (pair.current as f64 - expected).powi(2) / expected
        };
        let p = special::chi_square(pairs.iter().map(term).sum(), pairs.len() - 1);
        judge(drift, DriftTest::ChiSquare, p, threshold);
    } else {
        // The shares of the second of two values, with the pooled variance.
        let last = pairs.last().map_or((0.0, 0.0), |pair| (pair.reference as f64, pair.current as f64));
        let pooled = (last.0 + last.1) / (r + c);
        let spread = (pooled * (1.0 - pooled) * (1.0 / r + 1.0 / c)).sqrt();
        let p = if pairs.len() == 1 { 1.0 } else { special::two_sided_normal((last.0 / r - last.1 / c) / spread) };
        judge(drift, DriftTest::ZTest, p, threshold);
    }
    drift.psi = Some(stability(shares(pairs)));
    drift.divergence = Some(divergence / std::f64::consts::LN_2);
    drift.l_infinity = Some(largest_difference(pairs));
}

/// Tells the categories that only one side has.
fn strangers(drift: &mut ColumnDrift, all: impl Iterator<Item = (String, u64, u64)> + Clone) {
    let names =
        |of: fn(&(String, u64, u64)) -> bool| all.clone().filter(of).map(|(name, ..)| name).take(TOLD).collect();
    drift.new = names(|(_, reference, _)| *reference == 0);
    drift.vanished = names(|(_, _, current)| *current == 0);
}

/// Compares a run with a reference when it ends. A run that has drifted too far ends with [`Error::Drifted`] behind its last
/// batch, so a file that is written from it does not appear.
#[derive(Debug, Clone)]
pub struct DriftWatch {
    profiler: Profiler,
    reference: Profile,
    options: DriftOptions,
}

impl DriftWatch {
    /// Takes the profile of the run from a profiler, which must watch the same run.
    pub fn new(profiler: Profiler, reference: Profile, options: DriftOptions) -> Self {
        Self { profiler, reference, options }
    }

    /// The profile that the run is compared with.
    pub fn reference(&self) -> &Profile {
        &self.reference
    }

    /// How far the rows so far are from the reference.
    ///
    /// # Errors
    /// As [`Profile::drift_from`].
    pub fn report(&self) -> Result<DriftReport> {
        self.profiler.profile().drift_from(&self.reference, &self.options)
    }
}

impl Observer for DriftWatch {
    fn observe(&mut self, _: &Observed<'_>) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.report()?.verdict()
    }
}
