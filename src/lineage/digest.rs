//! The digest of a table, and what makes one of batches.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use serde_json::{Value, json};

use super::canonical;
use super::rows::{self, RowDigest};
use crate::base::error::{Error, Result};

/// What the rows of a table hold, in 72 bytes: two tables with the same digest have the same rows.
///
/// # What it covers
/// The names of the columns and every value of every row. The digest of a row is BLAKE3 over the columns in the order of their
/// names: the length of the name, the name, and the value as a tag and a payload; at the end zeros up to a multiple of 64 bytes.
/// Of these digests one after another [`Digest::ordered`] is the BLAKE3, and [`Digest::unordered`] the sum modulo 2²⁵⁶.
///
/// The digest is of values, not of how they are stored. So these do not matter:
/// - batches, threads, row groups, codecs, the file format and the order of columns;
/// - the width of integers: 7 is 7 in a column of u8 or i64;
/// - the layout of lists (fixed-size, large, views) and of text and bytes (large, views, dictionaries, fixed-size);
/// - the units of times, the name of a time zone, the precision and scale of a decimal; f16 counts as f32;
/// - −0 (it counts as 0) and the bits of a NaN.
///
/// These do matter: null, 0, an empty list and an empty text are four values; f32 and f64 differ, even where their numbers are
/// equal, and so do integers and floats, text and bytes, a list of u8 and raw bytes, a timestamp with a time zone and one without.
///
/// # What it does not cover
/// The order of the columns, their types beyond what is said above, whether they may be null, and all metadata. A table without
/// rows has the same digest whatever its columns are. Two columns of one name count in their order. The column in which a reader
/// of this crate tells the defects of images ([`DEFECTS_OF`](crate::DEFECTS_OF)) does not count.
///
/// Nobody can make two tables with the same ordered digest. The unordered one is a sum, so it tells changes that happen, not
/// those that somebody who has time to search for them has made.
///
/// As text it is `v1:ROWS:ORDERED:UNORDERED`, with the number of the form of digests and both digests in hex; as JSON an object
/// with `version`, `rows`, `ordered` and `unordered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    rows: u64,
    ordered: RowDigest,
    unordered: RowDigest,
}

/// The form of digests: another one gives other digests of the same rows.
const VERSION: u64 = 1;

impl Digest {
    /// The digest of everything that `reader` yields.
    ///
    /// # Errors
    /// As [`DigestBuilder::new`]; every error that `reader` yields.
    pub fn of(reader: impl RecordBatchReader) -> Result<Self> {
        let mut builder = DigestBuilder::new(&reader.schema())?;
        reader.into_iter().try_for_each(|batch| builder.add(&batch.map_err(Error::from)?).map(drop))?;
        Ok(builder.digest())
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// That of the rows in their order, in hex.
    pub fn ordered(&self) -> String {
        hex(&self.ordered)
    }

    /// That of the rows in any order, in hex. How often a row occurs counts.
    pub fn unordered(&self) -> String {
        hex(&self.unordered)
    }

    /// Whether two tables have the same rows, perhaps in another order.
    pub fn has_rows_of(&self, other: &Digest) -> bool {
        (self.rows, self.unordered) == (other.rows, other.unordered)
    }

    /// As JSON, which [`Digest::from_json`] reads.
    pub fn to_json(&self) -> Value {
        json!({"version": VERSION, "rows": self.rows, "ordered": self.ordered(), "unordered": self.unordered()})
    }

    /// Reads what [`Digest::to_json`] wrote.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is no digest, or one of another form.
    pub fn from_json(value: &Value) -> Result<Self> {
        let number = |key: &str| value[key].as_u64().ok_or_else(|| refused(&format!("`{key}` is missing")));
        let text = |key: &str| value[key].as_str().ok_or_else(|| refused(&format!("`{key}` is missing")));
        checked_version(&number("version")?.to_string())?;
        Ok(Self { rows: number("rows")?, ordered: unhex(text("ordered")?)?, unordered: unhex(text("unordered")?)? })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{VERSION}:{}:{}:{}", self.rows, self.ordered(), self.unordered())
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[version, rows, ordered, unordered] = &parts[..] else {
            return Err(refused("it is not v1:ROWS:ORDERED:UNORDERED"));
        };
        checked_version(version.strip_prefix('v').ok_or_else(|| refused("it does not begin with v1"))?)?;
        let rows = rows.parse().map_err(|_| refused(&format!("`{rows}` is no number of rows")))?;
        Ok(Self { rows, ordered: unhex(ordered)?, unordered: unhex(unordered)? })
    }
}

fn refused(why: &str) -> Error {
    Error::InvalidOption { option: "digest", why: why.to_owned() }
}

fn checked_version(version: &str) -> Result<()> {
    if version == VERSION.to_string() {
        return Ok(());
    }
    Err(refused(&format!("it is of form {version}, and this version knows form {VERSION}")))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<RowDigest> {
    let wrong = || refused(&format!("`{text}` is not 64 digits in hex"));
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| (16 * high + low) as u8).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

/// Makes a [`Digest`] of batches as they come.
///
/// ```
/// use pixelfeat::lineage::{Digest, DigestBuilder};
/// use pixelfeat::synthetic::Digits;
/// use arrow_array::RecordBatchReader;
///
/// let digits = Digits::new(100, 1, 30);
/// let mut builder = DigestBuilder::new(&digits.schema())?;
/// for batch in digits {
///     builder.add(&batch?)?;
/// }
/// let digest = builder.digest();
/// assert_eq!(digest, Digest::of(Digits::new(100, 1, 7))?);
/// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
/// # Ok::<_, pixelfeat::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DigestBuilder {
    rows: u64,
    ordered: blake3::Hasher,
    /// From the lowest to the highest.
    unordered: [u64; 4],
    /// Those of the last batch.
    digests: Vec<RowDigest>,
}

impl DigestBuilder {
    /// Starts with no rows.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if a column holds unions or run-end encoded values.
    pub fn new(schema: &Schema) -> Result<Self> {
        schema.fields().iter().try_for_each(|field| canonical::check(field))?;
        Ok(Self { rows: 0, ordered: blake3::Hasher::new(), unordered: [0; 4], digests: Vec::new() })
    }

    /// Adds rows behind those that are there, on rayon's threads if there are many. Returns the digest of each.
    ///
    /// # Errors
    /// [`Error::Internal`] if the batch has columns of types that the schema does not have and no digest is made of.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<&[RowDigest]> {
        rows::digest(batch, &mut self.digests)?;
        self.rows += batch.num_rows() as u64;
        self.ordered.update(self.digests.as_flattened());
        for digest in &self.digests {
            let mut carry = false;
            for (sum, part) in self.unordered.iter_mut().zip(digest.as_chunks::<8>().0) {
                let (with_part, over) = sum.overflowing_add(u64::from_le_bytes(*part));
                let (with_carry, again) = with_part.overflowing_add(carry.into());
                (*sum, carry) = (with_carry, over | again);
            }
        }
        Ok(&self.digests)
    }

    /// The digest of all rows so far.
    pub fn digest(&self) -> Digest {
        let mut unordered = [0; 32];
        for (place, part) in unordered.as_chunks_mut::<8>().0.iter_mut().zip(self.unordered) {
            *place = part.to_le_bytes();
        }
        Digest { rows: self.rows, ordered: *self.ordered.finalize().as_bytes(), unordered }
    }
}

/// A reader that makes a [`Digest`] of what is read through it.
///
/// ```
/// # #[cfg(feature = "parquet")] {
/// use pixelfeat::lineage::{DIGEST_KEY, Digest, Digesting};
/// use pixelfeat::{io, synthetic};
///
/// let path = tempfile::tempdir()?.keep().join("digits.parquet");
/// let reader = Digesting::new(synthetic::Digits::new(10, 1, 10))?;
/// let digest = reader.handle();
/// let footer = { let digest = digest.clone(); move || Ok(vec![digest.pair()]) };
/// io::write(&path, reader, &io::WriteOptions::default().with_footer(footer))?;
/// let written: Digest = Digest::from_json(&serde_json::from_str(&io::read_footer(&path)?[DIGEST_KEY])?)?;
/// assert_eq!(written, digest.get());
/// assert_eq!(written, Digest::of(io::open(&path, &io::ReadOptions::default())?)?);
/// # std::fs::remove_dir_all(path.parent().unwrap())?;
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Digesting<R> {
    reader: R,
    builder: DigestHandle,
}

impl<R: RecordBatchReader> Digesting<R> {
    /// Wraps a reader.
    ///
    /// # Errors
    /// As [`DigestBuilder::new`].
    pub fn new(reader: R) -> Result<Self> {
        let builder = DigestBuilder::new(&reader.schema())?;
        Ok(Self { reader, builder: DigestHandle(Arc::new(Mutex::new(builder))) })
    }

    /// What tells the digest, also when the reader is gone.
    pub fn handle(&self) -> DigestHandle {
        self.builder.clone()
    }
}

impl<R: RecordBatchReader> Iterator for Digesting<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.and_then(|batch| {
            self.builder.lock().add(&batch).map_err(ArrowError::from)?;
            Ok(batch)
        }))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Digesting<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

/// Tells the digest of the rows that a [`Digesting`] has yielded so far.
#[derive(Debug, Clone)]
pub struct DigestHandle(Arc<Mutex<DigestBuilder>>);

impl DigestHandle {
    /// The digest of the rows so far.
    pub fn get(&self) -> Digest {
        self.lock().digest()
    }

    /// The key and the value for a footer ([`WriteOptions::with_footer`](crate::io::WriteOptions::with_footer)).
    pub fn pair(&self) -> (String, String) {
        (super::DIGEST_KEY.to_owned(), self.get().to_json().to_string())
    }

    fn lock(&self) -> MutexGuard<'_, DigestBuilder> {
        // A builder that a panic left behind is still one of the rows before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
