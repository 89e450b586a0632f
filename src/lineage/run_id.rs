//! The ids of runs.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use super::input::Input;
use crate::base::error::{Error, Result};
use crate::base::time::now;

/// The id of a run: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; 16]);

impl RunId {
    /// The id of every run of a version with these options and inputs, wherever and whenever it runs: a UUID of version 8, made
    /// of a BLAKE3 hash. An input that is hashed counts by its hash, and by its name only if rows hold something of the name
    /// ([`Input::is_named`]). One that is not hashed counts by its name and size.
    pub fn of(version: &str, options: &[String], inputs: &[Input]) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add("pixelfeat run 1");
        add(version);
        add(&options.len().to_string());
        options.iter().for_each(|option| add(option));
        for input in inputs {
            add(input.option.as_deref().unwrap_or_default());
            add(input.blake3.as_deref().unwrap_or_default());
            add(&input.bytes.map(|bytes| bytes.to_string()).unwrap_or_default());
            add(if input.blake3.is_none() || input.is_named { &input.name } else { "" });
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(bytes).with_version(8)
    }

    /// A new id, by the time and random bits: a UUID of version 7.
    pub fn now() -> Self {
        let millis = (now() * 1e3) as u64;
        // The keys of std's hash maps are random.
        let random = || RandomState::new().hash_one(millis).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random());
        bytes[8..].copy_from_slice(&random());
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        Self(bytes).with_version(7)
    }

    fn with_version(mut self, version: u8) -> Self {
        self.0[6] = version << 4 | self.0[6] & 0x0f;
        self.0[8] = 0x80 | self.0[8] & 0x3f;
        self
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::InvalidOption { option: "run id", why: format!("`{text}` is no UUID") };
        let has_form = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let digits = if has_form { text.replace('-', "") } else { String::new() };
        u128::from_str_radix(&digits, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, hash: Option<&str>) -> Input {
        Input { name: name.to_owned(), bytes: Some(7), blake3: hash.map(str::to_owned), ..Input::default() }
    }

    #[test]
    fn an_id_depends_on_all_that_decides_the_rows() {
        let options = ["--gray".to_owned()];
        let id = |version: &str, options: &[String], input: Input| RunId::of(version, options, &[input]);
        let one = id("1", &options, input("a", Some("00")));
        assert_eq!(one, id("1", &options, input("elsewhere/b", Some("00"))), "a name does not count beside a hash");
        assert_ne!(id("1", &options, input("a", None)), id("1", &options, input("b", None)));
        for other in [
            id("2", &options, input("a", Some("00"))),
            id("1", &[], input("a", Some("00"))),
            id("1", &["--".to_owned(), "gray".to_owned()], input("a", Some("00"))),
            id("1", &options, input("a", Some("01"))),
            id("1", &options, input("a", None)),
            id("1", &options, Input { is_named: true, ..input("a", Some("00")) }),
            RunId::of("1", &options, &[]),
        ] {
            assert_ne!(one, other);
        }
        let text = one.to_string();
        assert_eq!((text.parse::<RunId>().unwrap(), &text[14..15]), (one, "8"));
    }

    #[test]
    fn new_ids_differ_and_are_of_version_7() {
        let ids: Vec<String> = (0..100).map(|_| RunId::now().to_string()).collect();
        let different: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        assert!(ids.iter().all(|id| &id[14..15] == "7" && matches!(&id[19..20], "8" | "9" | "a" | "b")), "{ids:?}");
        for text in ["", "g0000000-0000-7000-8000-000000000000", "+0000000-0000-7000-8000-000000000000"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
