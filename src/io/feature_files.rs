//! Files in, features out: a reader and a featurizer, joined so that they agree.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::options::ReadOptions;
use super::progress::Progress;
#[cfg(feature = "json")]
use super::quarantine::Quarantine;
use super::reader::{Reader, open_all, read};
use crate::base::error::{Error, Result};
use crate::run::epochs::{BoxedReader, Epochs};
use crate::run::featurizer::Featurizer;
use crate::run::observe::Observer;
use crate::run::stream::{FeatureStream, StreamOptions};

/// Opens files and featurizes their rows.
///
/// The image column and the pixel type are those of the featurizer's spec. Errors and the quarantine name the file that a
/// row came from. With a quarantine, lines that are not JSON go there; without one, the first of them ends the stream with an
/// error.
///
/// ```no_run
/// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, io};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
/// let (stream, _) = io::FeatureFiles::new(&featurizer)
///     .with_read_options(io::ReadOptions::default().with_rows(io::Rows::First(1_000)))
///     .open(["digits.json.gz"])?;
/// io::write("features.parquet", stream, &io::WriteOptions::default())?;
/// # Ok(())
/// # }
/// ```
pub struct FeatureFiles<'a> {
    featurizer: &'a Featurizer,
    options: ReadOptions,
    epochs: Option<Range<u32>>,
    #[cfg(feature = "json")]
    quarantine: Option<&'a Quarantine>,
    observers: Vec<Box<dyn Observer>>,
}

impl fmt::Debug for FeatureFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = (self.featurizer, &self.options, self.observers.len());
        f.debug_tuple("FeatureFiles").field(&about).finish()
    }
}

impl<'a> FeatureFiles<'a> {
    /// All rows and columns, with the default options and no quarantine.
    pub fn new(featurizer: &'a Featurizer) -> Self {
        Self {
            featurizer,
            options: ReadOptions::default(),
            epochs: None,
            #[cfg(feature = "json")]
            quarantine: None,
            observers: Vec::new(),
        }
    }

    /// Adds something that watches the batches, such as a [`Profiler`](crate::quality::Profiler).
    pub fn with_observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Which rows and columns to read, and how. What [`FeatureFiles`] decides itself is not taken from the options:
    /// [`image`](ReadOptions::image), [`pixel_type`](ReadOptions::pixel_type) and
    /// [`keep_broken_lines`](ReadOptions::keep_broken_lines).
    pub fn with_read_options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// Reads the input once for each epoch of a range, with the columns that [`Epochs`] adds. A stream can be read only once.
    /// The quarantine takes the rows of the first epoch.
    pub fn with_epochs(mut self, epochs: Range<u32>) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Writes the rows that cannot be featurized to a file of their own. Call [`Quarantine::finish`] after the last batch.
    #[cfg(feature = "json")]
    pub fn with_quarantine(mut self, quarantine: &'a Quarantine) -> Self {
        self.quarantine = Some(quarantine);
        self
    }

    /// Opens files, patterns and folders, as [`open_all`] does; returns the features, and how far reading has got.
    ///
    /// # Errors
    /// As [`open_all`] and [`Featurizer::stream`].
    pub fn open<P: AsRef<Path>>(self, paths: impl IntoIterator<Item = P>) -> Result<(FeatureStream, Progress)> {
        let options = self.agreed_options();
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        let reader = open_all(&paths, &options)?;
        self.stream(reader, move |_| Ok(Box::new(open_all(&paths, &options)?)))
    }

    /// Reads a stream of bytes, as [`read`] does; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`read`] and [`Featurizer::stream`].
    pub fn read(self, input: impl Read + Send + 'static, name: impl Into<String>) -> Result<(FeatureStream, Progress)> {
        let options = self.agreed_options();
        let reader = read(input, name, &options)?;
        self.stream(reader, |_| Err(once()))
    }

    fn agreed_options(&self) -> ReadOptions {
        let spec = self.featurizer.spec();
        let mut options = self.options.clone();
        options.image.clone_from(&spec.image);
        options.pixel_type = spec.pixel_type;
        options.keep_broken_lines = false;
        #[cfg(feature = "json")]
        {
            options.keep_broken_lines = self.quarantine.is_some();
        }
        options
    }

    /// `again` opens the input for another epoch.
    fn stream(
        self,
        reader: Reader,
        mut again: impl FnMut(u32) -> Result<BoxedReader> + Send + 'static,
    ) -> Result<(FeatureStream, Progress)> {
        let progress = reader.progress();
        let options = StreamOptions {
            origins: reader.origins(),
            #[cfg(feature = "json")]
            quarantine: self.quarantine.map(|quarantine| quarantine.sink(&self.featurizer.spec().image)),
            #[cfg(not(feature = "json"))]
            quarantine: None,
            warnings: reader.warnings(),
            empty_is_pause: reader.is_live(),
            observers: self.observers,
        };
        let stream = match self.epochs {
            None => self.featurizer.stream_with(reader, options)?,
            Some(epochs) if epochs.len() > 1 && reader.is_live() => return Err(once()),
            Some(epochs) => {
                let mut first: Option<BoxedReader> = Some(Box::new(reader));
                let open = move |epoch| first.take().map_or_else(|| again(epoch), Ok);
                self.featurizer.stream_with(Epochs::new(epochs, open)?, options)?
            }
        };
        Ok((stream, progress))
    }
}

/// A stream is gone once it is read.
fn once() -> Error {
    Error::InvalidOption { option: "epochs", why: "a stream can be read for one epoch only".to_owned() }
}
