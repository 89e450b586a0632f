//! The frame of the page: its head, what stands at the top, and the sections in their order.

use std::fmt::Write as _;

use super::number::{count, date};
use super::section::Section;
use crate::base::text::escaped;

/// The top of a page.
pub(super) struct Page {
    name: String,
    facts: Vec<(String, String)>,
}

impl Page {
    pub fn new(name: &str, rows: u64, time: Option<f64>) -> Self {
        let mut facts = vec![("Size".to_owned(), count(rows, "row", "rows"))];
        facts.extend(time.map(|time| ("Made on".to_owned(), date(time))));
        facts.push(("Made by".to_owned(), format!("pixelfeat {}", env!("CARGO_PKG_VERSION"))));
        Self { name: name.to_owned(), facts }
    }

    pub fn detail(&mut self, name: &str, value: &str) {
        self.facts.push((name.to_owned(), value.to_owned()));
    }

    /// The page with its sections.
    pub fn finish(self, sections: &[Section]) -> String {
        let name = escaped(&self.name);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Data quality of {name}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
             <header>\n<h1>Data quality of {name}</h1>\n<dl>\n",
            include_str!("page.css")
        );
        for (fact, value) in &self.facts {
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escaped(fact), escaped(value));
        }
        html += "</dl>\n<nav aria-label=\"The six verdicts\">\n<ul class=\"summary\">\n";
        for section in sections {
            let (id, verdict) = (section.dimension, section.verdict());
            let _ = writeln!(
                html,
                "<li><a href=\"#{id}\"><b>{}</b>{}</a></li>",
                title(section),
                verdict.badge(verdict.name())
            );
        }
        html += "</ul>\n</nav>\n</header>\n<main>\n";
        for section in sections {
            let (id, verdict) = (section.dimension, section.verdict());
            let _ = write!(
                html,
                "<section id=\"{id}\" aria-labelledby=\"{id}-heading\">\n<h2 id=\"{id}-heading\">{} {}</h2>\n\
                 <p class=\"sentence\">{}</p>\n<p class=\"how\">{}</p>\n{}</section>\n",
                title(section),
                verdict.badge(verdict.name()),
                escaped(&section.sentence()),
                escaped(section.how),
                section.body.0
            );
        }
        html += "</main>\n<footer><p>A verdict is the worst of what was found: “bad” stands for failed checks of severity error and \
                 for what is beyond the limits that the sections tell, “look at it” for what a person should see. “not judged” means \
                 that nothing was measured that tells.</p></footer>\n</body>\n</html>\n";
        html
    }
}

fn title(section: &Section) -> String {
    let name = section.dimension.to_string();
    name[..1].to_uppercase() + &name[1..]
}
