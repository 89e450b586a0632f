//! Streams whose rows come one by one: what is complete goes through when the input pauses.
#![cfg(all(unix, feature = "json", feature = "ipc"))]

use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt8Type};
use arrow_array::{ArrayRef, Int64Array, ListArray, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use pixelfeat::io::{FeatureFiles, ReadOptions, StopHandle};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer};

use crate::support::example;

/// Long enough for the slowest machine. No test waits so long if the rows come.
const LONG: Duration = Duration::from_secs(60);

fn row(label: usize) -> String {
    format!("{{\"image\": [[1, 2], [3, {}]], \"label\": {label}}}\n", label % 256)
}

/// The labels of the rows of a reader, as they come.
fn labels_of(batches: impl Iterator<Item = RecordBatch> + Send + 'static) -> Receiver<usize> {
    let (to, labels) = channel();
    thread::spawn(move || {
        for batch in batches {
            let column = batch.column_by_name("label").unwrap().as_primitive::<Int64Type>();
            assert_eq!(batch.column_by_name("pixel_mean").unwrap().null_count(), 0);
            for &label in column.values() {
                to.send(label as usize).unwrap();
            }
        }
    });
    labels
}

/// Writes rows with pauses and asserts that each is out before the next goes in.
fn feed(mut input: impl Write, labels: &Receiver<usize>, pieces: &[&[usize]]) {
    for piece in pieces {
        let text: String = piece.iter().map(|&label| row(label)).collect();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
        for &label in *piece {
            assert_eq!(labels.recv_timeout(LONG), Ok(label));
        }
    }
    // Half a row waits for its other half.
    let text = row(77);
    input.write_all(&text.as_bytes()[..10]).unwrap();
    assert!(labels.recv_timeout(Duration::from_millis(100)).is_err());
    input.write_all(&text.as_bytes()[10..]).unwrap();
    assert_eq!(labels.recv_timeout(LONG), Ok(77));
    drop(input);
    assert!(labels.recv_timeout(LONG).is_err(), "nothing follows");
}

const PIECES: &[&[usize]] = &[&[0], &[1], &[2, 3, 4], &[5], &[6, 7]];

fn pipe_through(stop: &StopHandle) -> (PipeWriter, Receiver<usize>) {
    let (from, to) = io::pipe().unwrap();
    let featurizer =
        Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap(), FeatureSpec::default());
    let options = ReadOptions::default().with_stop(stop.clone());
    let (open, labels) = channel();
    thread::spawn(move || {
        let (stream, _) = FeatureFiles::new(&featurizer).with_read_options(options).read(from, "pipe").unwrap();
        assert_eq!(stream.report().shape.to_string(), "2x2");
        open.send(labels_of(stream.map(Result::unwrap))).unwrap();
    });
    // The stream is open once its first rows are there, so the labels have to be forwarded.
    let (forward, out) = channel();
    thread::spawn(move || {
        let Ok(labels) = labels.recv() else { return };
        labels.iter().for_each(|label| forward.send(label).unwrap());
    });
    (to, out)
}

#[test]
fn rows_come_out_of_a_pipe_when_it_pauses() {
    let (to, labels) = pipe_through(&StopHandle::default());
    feed(to, &labels, PIECES);
}

#[test]
fn a_burst_between_pauses_is_whole_and_in_order() {
    let (mut to, labels) = pipe_through(&StopHandle::default());
    let writer = thread::spawn(move || {
        for part in 0..5 {
            let text: String = (part * 4_000..(part + 1) * 4_000).map(row).collect();
            to.write_all(text.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(15));
        }
    });
    for label in 0..20_000 {
        assert_eq!(labels.recv_timeout(LONG), Ok(label));
    }
    writer.join().unwrap();
    assert!(labels.recv_timeout(LONG).is_err());
}

#[test]
fn stopping_ends_a_stream_with_what_is_complete() {
    let stop = StopHandle::default();
    let (mut to, labels) = pipe_through(&stop);
    to.write_all((row(1) + &row(2) + "{\"image\": [[").as_bytes()).unwrap();
    assert_eq!((labels.recv_timeout(LONG), labels.recv_timeout(LONG)), (Ok(1), Ok(2)));
    stop.stop();
    assert!(labels.recv_timeout(LONG).is_err(), "the stream has ended, although the pipe is open");
}

/// `featurize INPUT -o -`, and the labels that it writes.
fn featurize(input: &str) -> (Child, Receiver<usize>) {
    let mut child = example("featurize")
        .args([input, "-o", "-", "-q", "--backend", "cpu"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let batches = std::iter::once_with(move || StreamReader::try_new(stdout, None).unwrap()).flatten();
    let labels = labels_of(batches.map(Result::unwrap));
    (child, labels)
}

/// The shape of flat images is open until rows have come, and only a few rows come before the pause.
#[test]
fn a_pause_of_arrow_ipc_settles_what_the_first_rows_tell() {
    let (mut child, labels) = featurize("-");
    let image = Field::new("image", DataType::new_list(DataType::UInt8, true), true);
    let schema = Arc::new(Schema::new(vec![image, Field::new("label", DataType::Int64, false)]));
    let mut writer = StreamWriter::try_new(child.stdin.take().unwrap(), &schema).unwrap();
    for label in 0..3 {
        let image = ListArray::from_iter_primitive::<UInt8Type, _, _>([Some([1, 2, 3, 4].map(Some))]);
        let columns: [ArrayRef; 2] = [Arc::new(image), Arc::new(Int64Array::from(vec![label]))];
        writer.write(&RecordBatch::try_new(schema.clone(), columns.to_vec()).unwrap()).unwrap();
        writer.flush().unwrap();
        assert_eq!(labels.recv_timeout(LONG), Ok(label as usize));
    }
    writer.finish().unwrap();
    drop(writer);
    assert!(labels.recv_timeout(LONG).is_err(), "nothing follows");
    assert_eq!(finished(child), (Some(0), String::new()));
}

fn finished(mut child: Child) -> (Option<i32>, String) {
    let status = child.wait().unwrap();
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    (status.code(), error)
}

#[test]
fn rows_come_out_of_the_program_when_its_stdin_pauses() {
    let (mut child, labels) = featurize("-");
    feed(child.stdin.take().unwrap(), &labels, PIECES);
    assert_eq!(finished(child), (Some(0), String::new()));
}

#[test]
fn rows_come_out_of_the_program_when_a_fifo_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("rows.ndjson");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (child, labels) = featurize(fifo.to_str().unwrap());
    feed(fs::OpenOptions::new().write(true).open(&fifo).unwrap(), &labels, PIECES);
    assert_eq!(finished(child), (Some(0), String::new()));
}

#[test]
fn a_signal_ends_the_program_with_what_is_complete() {
    for signal in ["INT", "TERM"] {
        let (mut child, labels) = featurize("-");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all((row(1) + &row(2) + "{\"ima").as_bytes()).unwrap();
        assert_eq!((labels.recv_timeout(LONG), labels.recv_timeout(LONG)), (Ok(1), Ok(2)));
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        assert!(labels.recv_timeout(LONG).is_err());
        assert_eq!(finished(child), (Some(0), String::new()), "{signal}");
        drop(stdin);
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = example("featurize")
        .args(["-", "-o", "-", "--backend", "cpu"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    // It may be gone before the last row is written.
    let _ = (0..5_000).try_for_each(|label| stdin.write_all(row(label).as_bytes()));
    drop(stdin);
    assert_eq!(finished(child), (Some(0), String::new()));
}

#[test]
fn an_empty_stream_pauses_without_an_end() {
    let (to, labels) = pipe_through(&StopHandle::default());
    assert!(labels.recv_timeout(Duration::from_millis(50)).is_err());
    feed(to, &labels, &[&[3]]);
}
