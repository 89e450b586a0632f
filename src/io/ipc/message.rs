//! Messages → a schema, dictionaries and batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow_ipc::{Endianness, MessageHeader, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};

use super::check::check;
use crate::base::error::{Error, Result, panic_text};
use crate::base::guard::guarded;

/// The error of an input that is not sound.
pub fn damaged(name: &str, why: impl std::fmt::Display) -> Error {
    Error::format(name, format!("not readable Arrow IPC: {why}"))
}

/// What the messages of an input have said so far.
pub struct Messages {
    name: String,
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Messages {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), schema: None, dictionaries: HashMap::new() }
    }

    pub fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// The schema, which comes before any batch.
    pub fn schema(&self) -> Result<SchemaRef> {
        self.schema.clone().ok_or_else(|| damaged(&self.name, "a batch comes before the schema"))
    }

    /// Takes the schema in the footer of a file.
    pub fn set_schema(&mut self, schema: arrow_ipc::Schema<'_>) -> Result<()> {
        if schema.endianness() != Endianness::Little {
            return Err(damaged(&self.name, "its numbers are big-endian"));
        }
        let schema = self.quietly(|| Ok::<_, ArrowError>(fb_to_schema(schema)))?;
        self.schema = Some(Arc::new(schema));
        Ok(())
    }

    /// Takes a message; returns its batch if it has one.
    pub fn take(&mut self, metadata: &[u8], body: &Buffer) -> Result<Option<RecordBatch>> {
        let message = root_as_message(metadata).map_err(|e| damaged(&self.name, e))?;
        let version = message.version();
        let wrong = |what: &str| damaged(&self.name, format!("a message has no {what}"));
        match message.header_type() {
            MessageHeader::Schema if self.schema.is_none() => {
                self.set_schema(message.header_as_schema().ok_or_else(|| wrong("schema"))?)?;
                Ok(None)
            }
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or_else(|| wrong("batch"))?;
                let schema = self.schema()?;
                check(batch, body).map_err(|why| damaged(&self.name, format!("a batch is damaged: {why}")))?;
                let decoded = self.quietly(|| {
                    RecordBatchDecoder::try_new(body, batch, schema, &self.dictionaries, &version)?.read_record_batch()
                });
                decoded.map(Some)
            }
            MessageHeader::DictionaryBatch => {
                let dictionary = message.header_as_dictionary_batch().ok_or_else(|| wrong("dictionary"))?;
                let schema = self.schema()?;
                let batch = dictionary.data().ok_or_else(|| wrong("dictionary"))?;
                check(batch, body).map_err(|why| damaged(&self.name, format!("a dictionary is damaged: {why}")))?;
                let mut dictionaries = std::mem::take(&mut self.dictionaries);
                self.quietly(|| read_dictionary(body, dictionary, &schema, &mut dictionaries, &version))?;
                self.dictionaries = dictionaries;
                Ok(None)
            }
            MessageHeader::NONE => Ok(None),
            MessageHeader::Schema => Err(damaged(&self.name, "it has two schemas")),
            other => Err(damaged(&self.name, format!("a message is of a kind that holds no batch: {other:?}"))),
        }
    }

    /// arrow-ipc 59 panics on some damaged input: on unknown types (`convert.rs`), missing dictionaries and buffers
    /// (`reader.rs`), and offsets beyond a buffer (arrow-buffer's `immutable.rs`).
    fn quietly<R>(&self, work: impl FnOnce() -> Result<R, ArrowError>) -> Result<R> {
        match guarded(work) {
            Ok(done) => done.map_err(|e| damaged(&self.name, e)),
            Err(panic) => Err(damaged(&self.name, panic_text(&*panic))),
        }
    }
}
