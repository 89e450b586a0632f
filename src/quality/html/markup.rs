//! Markup from text. Whatever goes in as text is escaped.

use std::fmt::Write as _;

use super::number::percent;
use super::verdict::Verdict;
use crate::base::text::{cut, escaped, grouped};

/// Rows of a table at most.
const LISTED: usize = 200;
/// Rows of a table that are in sight; further ones unfold.
const OPEN: usize = 12;
/// Characters of a cell at most.
const CELL: usize = 160;

/// Some markup.
#[derive(Debug, Default)]
pub(super) struct Html(pub String);

/// A cell of a table.
#[derive(Debug)]
pub(super) enum Cell {
    Text(String),
    /// A number, as text.
    Number(String),
    /// A share of 1, with a bar behind it.
    Share(f64),
    Mark(Verdict, &'static str),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn count(number: u64) -> Self {
        Self::Number(grouped(number))
    }

    fn write(&self, to: &mut Html, is_first: bool) {
        let to = &mut to.0;
        let _ = match self {
            Self::Text(text) if is_first => write!(to, "<th scope=\"row\">{}</th>", escaped(&cut(text, CELL))),
            Self::Text(text) => write!(to, "<td>{}</td>", escaped(&cut(text, CELL))),
            Self::Number(text) => write!(to, "<td class=\"n\">{}</td>", escaped(text)),
            Self::Share(share) => {
                let width = 100.0 * share.clamp(0.0, 1.0);
                write!(to, "<td class=\"n share\" style=\"--part:{width:.1}%\">{}</td>", escaped(&percent(*share)))
            }
            Self::Mark(verdict, text) => write!(to, "<td>{}</td>", verdict.badge(text)),
        };
    }
}

/// A picture with words below it.
#[derive(Debug)]
pub(super) struct Figure {
    /// Markup: a drawing.
    pub svg: String,
    /// What is drawn.
    pub title: String,
    pub caption: String,
}

impl Html {
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p>{}</p>", escaped(text));
    }

    /// What is less important.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.0, "<p class=\"note\">{}</p>", escaped(text));
    }

    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "<h3>{}</h3>", escaped(text));
    }

    /// A table. Of more than 200 rows the first are shown.
    pub fn table(&mut self, caption: &str, head: &[&str], rows: &[Vec<Cell>]) {
        if rows.is_empty() {
            return;
        }
        let (first, more) = rows.split_at(OPEN.min(rows.len()));
        self.part_of_table(caption, head, first);
        if !more.is_empty() {
            let _ = writeln!(self.0, "<details><summary>{} more</summary>", grouped(more.len() as u64));
            self.part_of_table(&format!("{caption}, continued"), head, &more[..more.len().min(LISTED - OPEN)]);
            if rows.len() > LISTED {
                self.note(&format!("and {} more", grouped((rows.len() - LISTED) as u64)));
            }
            self.0 += "</details>\n";
        }
    }

    fn part_of_table(&mut self, caption: &str, head: &[&str], rows: &[Vec<Cell>]) {
        let caption = escaped(caption);
        // A wide table scrolls on its own, also by keys.
        let _ = write!(self.0, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">");
        let _ = write!(self.0, "<table><caption>{caption}</caption><thead><tr>");
        let numeric = |at: usize| matches!(rows[0].get(at), Some(Cell::Number(_) | Cell::Share(_)));
        for (at, name) in head.iter().enumerate() {
            let class = if numeric(at) { " class=\"n\"" } else { "" };
            let _ = write!(self.0, "<th scope=\"col\"{class}>{}</th>", escaped(name));
        }
        self.0 += "</tr></thead><tbody>\n";
        for row in rows {
            self.0 += "<tr>";
            row.iter().enumerate().for_each(|(at, cell)| cell.write(self, at == 0));
            self.0 += "</tr>\n";
        }
        self.0 += "</tbody></table></div>\n";
    }

    /// A list that unfolds.
    pub fn folded(&mut self, summary: &str, items: &[String]) {
        let _ = writeln!(self.0, "<details><summary>{}</summary><ul>", escaped(&cut(summary, CELL)));
        for item in items.iter().take(LISTED) {
            let _ = writeln!(self.0, "<li>{}</li>", escaped(&cut(item, CELL)));
        }
        self.0 += "</ul></details>\n";
    }

    /// Figures side by side, as many as there is room for.
    pub fn figures(&mut self, figures: &[Figure]) {
        if figures.is_empty() {
            return;
        }
        self.0 += "<div class=\"figures\">\n";
        figures.iter().for_each(|figure| self.figure(figure));
        self.0 += "</div>\n";
    }

    pub fn figure(&mut self, figure: &Figure) {
        let (title, caption) = (escaped(&cut(&figure.title, CELL)), escaped(&cut(&figure.caption, CELL)));
        let _ = writeln!(self.0, "<figure>{}<figcaption><b>{title}</b> {caption}</figcaption></figure>", figure.svg);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_long_tables_are_cut_and_folded() {
        let mut html = Html::default();
        let row = || vec![Cell::text("<script>\"&"), Cell::count(1), Cell::Share(0.5)];
        html.table("a < b", &["<i>", "n", "share"], &[row()]);
        assert!(
            html.0.contains("<th scope=\"row\">&lt;script&gt;&quot;&amp;</th><td class=\"n\">1</td>"),
            "{}",
            html.0
        );
        assert!(html.0.contains("<caption>a &lt; b</caption>") && !html.0.contains("<i>"));
        assert!(!html.0.contains("<details>"));
        let mut long = Html::default();
        long.table("t", &["a"], &(0..201).map(|_| row()).collect::<Vec<_>>());
        assert_eq!(long.0.matches("<tr>").count(), 2 + 200);
        assert_eq!(long.0.split("<details>").next().unwrap().matches("<tr>").count(), 1 + OPEN);
        assert!(long.0.contains("189 more") && long.0.contains("and 1 more"), "{}", long.0);
    }
}
