//! What is known of the rows of each class: how many there are, and the means of their features.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::cells::text;
use super::column::plain_type;
use super::exact::FloatSum;
use crate::base::error::{Error, Result};
use crate::base::select::take;
use crate::run::observe::Observed;

/// More classes than these are not told apart, and then nothing is known of any.
pub(super) const CLASSES: usize = 1_000;
/// So many sums are kept at most.
pub(super) const SUMS: usize = 200_000;

/// One class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub rows: u64,
    /// Rows with features.
    pub featurized: u64,
    /// The sum of the brightness of images, then those of the features.
    pub sums: Vec<FloatSum>,
}

/// The rows by the values of a label column.
#[derive(Debug, Clone)]
pub struct Classes {
    pub(super) label: String,
    /// By the text of the label; `None` if there are too many.
    pub(super) classes: Option<BTreeMap<String, Class>>,
}

impl Classes {
    pub(super) fn new(label: &str) -> Self {
        Self { label: label.to_owned(), classes: Some(BTreeMap::new()) }
    }

    /// The name of the label column.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Each class, its rows, and the mean brightness of its images; `None` if there are more than 1,000 classes.
    pub fn balance(&self) -> Option<Vec<(&str, u64, Option<f64>)>> {
        let classes = self.classes.as_ref()?.iter();
        Some(classes.map(|(name, class)| (&name[..], class.rows, class.mean(0))).collect())
    }

    /// Adds a row of a class; its values are those of [`Class::sums`], if it has features.
    pub(super) fn add(&mut self, name: &str, values: Option<&[f32]>) {
        let Some(classes) = &mut self.classes else { return };
        if !classes.contains_key(name) {
            classes.insert(name.to_owned(), Class::default());
        }
        let Some(class) = classes.get_mut(name) else { return };
        class.rows += 1;
        if let Some(values) = values {
            class.featurized += 1;
            class.sums.resize(values.len(), FloatSum::default());
            class.sums.iter_mut().zip(values).for_each(|(sum, &value)| sum.add(value));
        }
        self.bound();
    }

    fn bound(&mut self) {
        let Some(classes) = &self.classes else { return };
        let sums = classes.values().map(|class| class.sums.len()).max().unwrap_or(0);
        if classes.len() > CLASSES || classes.len() * sums > SUMS {
            self.classes = None;
        }
    }

    pub(super) fn merge(&mut self, other: &Self) -> Result<()> {
        if self.label != other.label {
            let why = format!("classes by `{}` cannot be merged with those by `{}`", self.label, other.label);
            return Err(Error::InvalidOption { option: "profile", why });
        }
        let (Some(own), Some(others)) = (&mut self.classes, &other.classes) else {
            self.classes = None;
            return Ok(());
        };
        for (name, other) in others {
            let class = own.entry(name.clone()).or_default();
            class.rows += other.rows;
            class.featurized += other.featurized;
            class.sums.resize(class.sums.len().max(other.sums.len()), FloatSum::default());
            class.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
        }
        self.bound();
        Ok(())
    }
}

impl Class {
    /// The mean of one of the sums.
    pub fn mean(&self, at: usize) -> Option<f64> {
        self.sums.get(at).map(|sum| sum.value() / self.featurized as f64)
    }
}

/// The values of a label column as text.
pub(super) struct Labels<'a>(Cow<'a, ArrayRef>);

impl<'a> Labels<'a> {
    /// The column of this name in the input of a batch.
    ///
    /// # Errors
    /// [`Error::NoSuchColumn`], and [`Error::UnsupportedColumn`] if it holds neither text nor integers nor booleans.
    pub fn of(batch: &Observed<'a>, name: &str) -> Result<Self> {
        let column = batch.input.column_by_name(name).ok_or_else(|| {
            let names = batch.input.schema_ref().fields().iter().map(|field| field.name().clone());
            Error::NoSuchColumn { column: name.to_owned(), available: names.filter(|of| of != batch.image).collect() }
        })?;
        match plain_type(column.data_type()) {
            DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {}
            of if of.is_integer() => {}
            _ => {
                let why = "labels are text, integers or booleans".to_owned();
                let data_type = column.data_type().clone();
                return Err(Error::UnsupportedColumn { column: name.to_owned(), data_type, why });
            }
        }
        Ok(Self(match column.as_any_dictionary_opt() {
            Some(of) => Cow::Owned(take(of.values(), of.keys()).map_err(Error::from)?),
            None => Cow::Borrowed(column),
        }))
    }

    /// Calls `with` with the label of a row; `None` is a null.
    pub fn with<R>(&self, row: usize, with: impl FnOnce(Option<&str>) -> R) -> R {
        let column = &*self.0;
        match column.data_type() {
            _ if column.is_null(row) => with(None),
            DataType::Utf8 => with(Some(column.as_string::<i32>().value(row))),
            DataType::LargeUtf8 => with(Some(column.as_string::<i64>().value(row))),
            DataType::Utf8View => with(Some(column.as_string_view().value(row))),
            _ => with(text(column, row).as_deref()),
        }
    }
}
