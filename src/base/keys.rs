//! The keys under which the footer of a file tells what made it.

/// The digest of its rows, as JSON.
pub const DIGEST_KEY: &str = "pixelfeat.digest";
/// The inputs, options and version that made it, as JSON.
pub const LINEAGE_KEY: &str = "pixelfeat.lineage";

/// What is true of one file alone, and not of a file that is made from it.
pub(crate) const FOOTER_KEYS: [&str; 2] = [DIGEST_KEY, LINEAGE_KEY];
