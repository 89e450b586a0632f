//! Drawings in the page, as SVG: histograms, bars and a heat map. Colours come from the style of the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::number::{compact, count, date, percent};
use crate::base::text::{cut, escaped, grouped};

/// The width of histograms and bars.
const WIDTH: f64 = 320.0;
/// The height of the plot of a histogram, and where its base line is.
const PLOT: f64 = 110.0;
const BASE: f64 = 128.0;
/// Classes of a heat map beyond which it has no numbers, and beyond which there is none.
const NUMBERED: usize = 12;
pub(super) const HEAT_CLASSES: usize = 60;

/// What stands along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Numbers,
    /// Seconds since 1970.
    Times,
}

/// A histogram of equal steps.
pub(super) struct Histogram<'a> {
    pub range: (f64, f64),
    pub axis: Axis,
    pub counts: &'a [u64],
    /// Counts of the reference in the same steps.
    pub reference: Option<&'a [u64]>,
    /// Whether heights are the roots of shares, so that small ones show.
    pub is_root: bool,
}

fn drawing(width: f64, height: f64, label: &str, content: &str) -> String {
    let label = escaped(label);
    format!("<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\">{content}</svg>")
}

fn text(to: &mut String, [x, y]: [f64; 2], anchor: &str, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = write!(to, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>", escaped(text));
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| count as f64 / all).collect()
}

/// Filled steps; those of a reference as a line over them. Both as shares of their own rows.
pub(super) fn histogram(name: &str, of: &Histogram<'_>) -> String {
    let (own, reference) = (shares(of.counts), of.reference.map(shares));
    let largest = own.iter().chain(reference.iter().flatten()).copied().fold(f64::MIN_POSITIVE, f64::max);
    let height = |share: f64| {
        let part = share / largest;
        PLOT * if of.is_root { part.sqrt() } else { part }
    };
    let step = WIDTH / own.len().max(1) as f64;
    let mut content = String::new();
    let mut bars = String::new();
    for (at, share) in own.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        // What is there is seen.
        let (x, high) = (at as f64 * step, height(*share).max(1.0));
        let _ = write!(bars, "M{x:.1} {BASE}v-{high:.1}h{:.1}v{high:.1}z", (step - 0.6).max(0.4));
    }
    let _ = write!(content, "<path class=\"bar\" d=\"{bars}\"/>");
    if let Some(reference) = &reference {
        let mut line = format!("M0 {BASE}");
        for (at, share) in reference.iter().enumerate() {
            let _ = write!(line, "V{:.1}H{:.1}", BASE - height(*share), (at + 1) as f64 * step);
        }
        let _ = write!(content, "<path class=\"ref\" d=\"{line}V{BASE}\"/>");
    }
    let _ = write!(content, "<path class=\"axis\" d=\"M0 {BASE}H{WIDTH}\"/>");
    let root = if of.is_root { ", heights are roots" } else { "" };
    text(&mut content, [0.0, 11.0], "start", "", &format!("highest {}{root}", percent(largest)));
    let (low, high) = of.range;
    let [low_text, middle, high_text] =
        [low, low + (high - low) / 2.0, high].map(|value| of.axis.told(value, of.range));
    text(&mut content, [0.0, BASE + 14.0], "start", "", &low_text);
    text(&mut content, [WIDTH, BASE + 14.0], "end", "", &high_text);
    // 11 pixels high, characters are some 6 wide.
    if low < high && [&low_text, &middle, &high_text].iter().map(|text| text.chars().count()).sum::<usize>() < 44 {
        text(&mut content, [WIDTH / 2.0, BASE + 14.0], "middle", "", &middle);
    }
    let compared = if reference.is_some() { ", with the reference as a line" } else { "" };
    drawing(WIDTH, BASE + 20.0, &format!("Histogram of {name} from {low_text} to {high_text}{compared}"), &content)
}

impl Axis {
    fn told(self, value: f64, (low, high): (f64, f64)) -> String {
        match self {
            Self::Numbers => compact(value),
            Self::Times => {
                let whole = date(value);
                let day = whole.split(' ').next().unwrap_or_default();
                if high - low > 3.0 * 86_400.0 {
                    day.to_owned()
                } else {
                    cut(&whole, 16).trim_end_matches('…').to_owned()
                }
            }
        }
    }
}

/// A thing that is counted.
pub(super) struct Bar {
    name: String,
    count: u64,
    /// Its share of all that was counted.
    share: f64,
    /// Its share in the reference.
    reference: Option<f64>,
}

impl Bar {
    /// Bars of things and their counts. Those that only the reference has come last.
    pub fn all(own: &[(String, u64)], reference: Option<&[(String, u64)]>) -> Vec<Self> {
        let sum = |all: &[(String, u64)]| all.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
        let (all, of_reference) = (sum(own), reference.map(sum));
        let theirs: BTreeMap<&str, u64> =
            reference.iter().copied().flatten().map(|(name, n)| (&name[..], *n)).collect();
        let names: BTreeSet<&str> = own.iter().map(|(name, _)| &name[..]).collect();
        let vanished = reference.iter().copied().flatten().filter(|(name, _)| !names.contains(&name[..]));
        let vanished = vanished.map(|(name, _)| (name, 0));
        let bar = |(name, count): (&String, u64)| Self {
            name: name.clone(),
            count,
            share: count as f64 / all,
            reference: of_reference.map(|sum| theirs.get(&name[..]).copied().unwrap_or(0) as f64 / sum),
        };
        own.iter().map(|(name, count)| (name, *count)).chain(vanished).map(bar).collect()
    }
}

/// A bar for each category, as long as its share, with its count. The share in the reference is a line across.
pub(super) fn bars(name: &str, all: &[Bar]) -> String {
    const ROW: f64 = 18.0;
    const LEFT: f64 = 92.0;
    const RIGHT: f64 = 54.0;
    let both = all.iter().flat_map(|bar| [bar.share, bar.reference.unwrap_or(0.0)]);
    let largest = both.fold(f64::MIN_POSITIVE, f64::max);
    let width = |share: f64| (WIDTH - LEFT - RIGHT) * share / largest;
    let mut content = String::new();
    for (at, bar) in all.iter().enumerate() {
        let top = at as f64 * ROW;
        let name = if bar.name.is_empty() { "(empty)" } else { &bar.name };
        text(&mut content, [LEFT - 6.0, top + 13.0], "end", "name", &cut(name, 13));
        let long = width(bar.share).max(if bar.count > 0 { 1.0 } else { 0.0 });
        let _ =
            write!(content, "<path class=\"bar\" d=\"M{LEFT} {:.1}h{long:.1}v{}h-{long:.1}z\"/>", top + 3.0, ROW - 5.0);
        let mut end = LEFT + long;
        if let Some(theirs) = bar.reference {
            let x = LEFT + width(theirs);
            let _ = write!(content, "<path class=\"ref\" d=\"M{x:.1} {:.1}v{}\"/>", top + 1.0, ROW - 1.0);
            end = end.max(x);
        }
        text(&mut content, [end + 5.0, top + 13.0], "start", "", &short_count(bar.count));
    }
    let what = count(all.len() as u64, "category", "categories");
    drawing(WIDTH, (all.len() as f64 * ROW + 4.0).max(ROW), &format!("Counts of {name}: {what}"), &content)
}

/// A count in at most seven characters.
fn short_count(count: u64) -> String {
    match count {
        0..1_000_000 => grouped(count),
        1_000_000..1_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

/// A square of cells: how many rows of each class (down) are probably of each class (across). What is off the diagonal has a
/// colour of its own. `rows` is what a share of 1 stands for.
pub(super) fn heat_map(classes: &[String], joint: &[Vec<f64>], rows: u64) -> String {
    const LEFT: f64 = 64.0;
    const TOP: f64 = 34.0;
    let side = (420.0 / classes.len().max(1) as f64).min(40.0);
    let end = side * classes.len() as f64;
    let largest = |is_diagonal: bool| {
        let cells =
            joint.iter().enumerate().flat_map(|(y, row)| row.iter().enumerate().map(move |(x, share)| (y, x, share)));
        let own = cells.filter(|(y, x, _)| (y == x) == is_diagonal).map(|(.., share)| *share);
        own.fold(f64::MIN_POSITIVE, f64::max)
    };
    let (right, wrong) = (largest(true), largest(false));
    let mut content = String::new();
    text(&mut content, [LEFT, 11.0], "start", "", "likely");
    text(&mut content, [0.0, TOP - 4.0], "start", "", "given");
    for (at, class) in classes.iter().enumerate().filter(|_| side >= 9.0) {
        let middle = (at as f64 + 0.5) * side;
        // As many characters as fit.
        let chars = ((side / 6.5) as usize).saturating_sub(1).max(1);
        text(&mut content, [LEFT + middle, TOP - 4.0], "middle", "name", &cut(class, chars));
        text(&mut content, [LEFT - 6.0, TOP + middle + 4.0], "end", "name", &cut(class, 9));
    }
    for (y, row) in joint.iter().enumerate() {
        for (x, &share) in row.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (class, largest) = if x == y { ("bar", right) } else { ("wrong", wrong) };
            let (left, top) = (LEFT + x as f64 * side, TOP + y as f64 * side);
            let opacity = 0.1 + 0.7 * (share / largest).sqrt();
            let _ = write!(
                content,
                "<path class=\"{class}\" fill-opacity=\"{opacity:.2}\" d=\"M{left:.1} {top:.1}h{side:.1}v{side:.1}h-{side:.1}z\"/>"
            );
            let estimated = (share * rows as f64).round();
            if classes.len() <= NUMBERED && estimated >= 1.0 {
                let place = [left + side / 2.0, top + side / 2.0 + 4.0];
                text(&mut content, place, "middle", "name", &short_count(estimated as u64));
            }
        }
    }
    let _ = write!(content, "<path class=\"axis\" d=\"M{LEFT} {TOP}h{end:.1}v{end:.1}h-{end:.1}z\"/>");
    let label = format!("Heat map of given and likely classes, {} by {0}", classes.len());
    drawing(LEFT + end + 4.0, TOP + end + 4.0, &label, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_heights_in_proportion_and_the_reference_in_its_own() {
        let of = Histogram {
            range: (0.0, 10.0),
            axis: Axis::Numbers,
            counts: &[30, 0, 10],
            reference: Some(&[100, 300, 0]),
            is_root: false,
        };
        let svg = histogram("<a>", &of);
        // Shares are 0.75, 0 and 0.25; those of the reference 0.25, 0.75 and 0.
        assert!(svg.contains("M0.0 128v-110.0h") && svg.contains("M213.3 128v-36.7h"), "{svg}");
        assert!(svg.contains("M0 128V91.3H106.7V18.0H213.3V128.0H320.0V128"), "{svg}");
        assert!(
            svg.contains("aria-label=\"Histogram of &lt;a&gt; from 0 to 10, with the reference as a line\""),
            "{svg}"
        );
        let root = histogram("a", &Histogram { is_root: true, reference: None, ..of });
        assert!(root.contains("M213.3 128v-63.5h"), "{root}");
    }

    #[test]
    fn bars_have_lengths_by_shares_and_vanished_categories_stay() {
        let of = |all: &[(&str, u64)]| all.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
        let all = Bar::all(&of(&[("a", 30), ("b", 10)]), Some(&of(&[("b", 1), ("c", 1)])));
        let found: Vec<_> = all.iter().map(|bar| (&bar.name[..], bar.count, bar.share, bar.reference)).collect();
        let expected = [("a", 30, 0.75, Some(0.0)), ("b", 10, 0.25, Some(0.5)), ("c", 0, 0.0, Some(0.5))];
        assert_eq!(found, expected);
        // 174 wide is the largest share.
        let svg = bars("x", &all);
        assert!(
            svg.contains("M92 3.0h174.0v") && svg.contains("M92 21.0h58.0v") && svg.contains("M208.0 19.0v"),
            "{svg}"
        );
        assert!(Bar::all(&[], None).is_empty());
    }

    #[test]
    fn drawings_of_nothing_are_drawings() {
        let of = Histogram { range: (1.0, 1.0), axis: Axis::Times, counts: &[], reference: None, is_root: false };
        for svg in [histogram("a", &of), bars("a", &[]), heat_map(&[], &[], 0)] {
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
    }

    #[test]
    fn a_heat_map_tells_rows_and_marks_what_is_off_the_diagonal() {
        let classes = ["a".to_owned(), "b&".to_owned()];
        let svg = heat_map(&classes, &[vec![0.5, 0.02], vec![0.0, 0.48]], 100);
        assert!(svg.contains(">50</text>") && svg.contains(">2</text>") && svg.contains(">48</text>"), "{svg}");
        assert_eq!((svg.matches("class=\"wrong\"").count(), svg.matches("class=\"bar\"").count()), (1, 2));
        assert!(svg.contains("b&amp;") && !svg.contains("b&<"));
    }
}
