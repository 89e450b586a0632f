//! How good data are, in a word.

use crate::base::text::escaped;

/// How good the data are in one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing was measured that tells.
    Open,
    Good,
    Look,
    Bad,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "not judged",
            Self::Good => "good",
            Self::Look => "look at it",
            Self::Bad => "bad",
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Good => "good",
            Self::Look => "look",
            Self::Bad => "bad",
        }
    }

    /// Markup: a word in the colour of the verdict.
    pub fn badge(self, text: &str) -> String {
        format!("<span class=\"badge {}\">{}</span>", self.class(), escaped(text))
    }
}
