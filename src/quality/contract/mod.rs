//! Data contracts of the Open Data Contract Standard (ODCS), as checks.

mod propose;
mod read;

use std::str::FromStr;

use super::checks::Checks;
use crate::base::error::{Error, Result};
use crate::base::shape::ImageShape;
use crate::base::yaml;

/// What a data contract asks of a table: a contract of the Open Data Contract Standard 3.0, 3.1 or 3.2.
///
/// [`Checker`](super::Checker) holds the rows of a run to [`Contract::checks`]. A property of the contract is a column of the input
/// or, if there is none of its name, of the output. Enforced are: presence, logical types, `required`, `unique`, primary keys, the
/// bounds of numbers, the lengths and patterns of text, `enum`, the number of items and their bounds, the library's metrics, quality
/// rules of the engine `pixelfeat`, freshness (`freshness` or `latency`) and retention. The custom property `shape` of an image
/// column is the shape that the run should have. [`Contract::not_enforced`] tells what else the contract holds.
///
/// ```
/// use pixelfeat::quality::Contract;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let contract: Contract = r#"
/// apiVersion: v3.1.0
/// kind: DataContract
/// id: digits
/// version: 1.0.0
/// status: active
/// schema:
///   - name: digits
///     properties:
///       - {name: label, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0, maximum: 9}}
///       - name: image
///         logicalType: array
///         logicalTypeOptions: {minItems: 784, maxItems: 784}
///         items: {logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 255}}
///         customProperties: [{property: shape, value: [28, 28]}]
/// "#.parse()?;
/// assert_eq!(contract.shape().unwrap().to_string(), "28x28");
/// assert_eq!(contract.checks().all().len(), 10);
/// assert!(contract.not_enforced().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Contract {
    checks: Checks,
    shape: Option<ImageShape>,
    not_enforced: Vec<String>,
}

impl Contract {
    /// Reads a contract that describes several tables: `table` is the name of the one that is meant.
    ///
    /// # Errors
    /// As [`FromStr`], and if there is no such table.
    pub fn of_table(text: &str, table: &str) -> Result<Self> {
        Self::read(text, Some(table))
    }

    fn read(text: &str, table: Option<&str>) -> Result<Self> {
        let refuse =
            |(line, why): yaml::Fault| Error::InvalidOption { option: "contract", why: format!("line {line}: {why}") };
        let contract = yaml::read(text).and_then(|node| read::contract(&node, table)).map_err(refuse)?;
        Ok(Self { checks: Checks(contract.checks), shape: contract.shape, not_enforced: contract.not_enforced })
    }

    /// What the contract asks for, as checks.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The shape that the contract gives an image column.
    pub fn shape(&self) -> Option<ImageShape> {
        self.shape
    }

    /// What the contract asks for and no check enforces, with its lines. What only describes, such as owners and prices, is not in
    /// the list.
    pub fn not_enforced(&self) -> &[String] {
        &self.not_enforced
    }
}

impl FromStr for Contract {
    type Err = Error;

    /// Reads the YAML text of a contract that describes one table.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], with the line, if the text is not YAML or no contract: a key is unknown, missing or of the wrong
    /// kind; the contract is of another version; or it describes no table, or several.
    fn from_str(text: &str) -> Result<Self> {
        Self::read(text, None)
    }
}
