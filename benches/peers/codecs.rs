//! The least that a job from Parquet to Parquet does: decompress the pages of the images, write each pixel once, compress the
//! pages of the output.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;
use rayon::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is to be done with a page.
enum Work {
    /// Decompress it, and write so many pixels; for raw bytes as many as there are.
    Decode(Compression, Bytes, Option<usize>),
    Compress(Compression, Vec<u8>),
}

/// Seconds on the current rayon pool. What was read and made before the clock starts is not in it.
pub fn codecs(input: &str, output: &str) -> Result<f64> {
    let mut work = Vec::new();
    each_page(input, |column, page| {
        if column.column_path().parts()[0] == "image" {
            let is_list = column.column_path().parts().len() > 1;
            let pixels = is_list.then_some(page.num_values() as usize);
            work.push(Work::Decode(column.compression(), page.buffer().clone(), pixels));
        }
        Ok(())
    })?;
    each_page(output, |column, page| {
        let mut plain = Vec::new();
        decompress(column.compression(), page.buffer(), &mut plain)?;
        work.push(Work::Compress(column.compression(), plain));
        Ok(())
    })?;
    let mut seconds: Vec<f64> = (0..3).map(|_| once(&work)).collect::<Result<_>>()?;
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[1])
}

fn once(work: &[Work]) -> Result<f64> {
    let start = Instant::now();
    let done: Vec<_> = work
        .par_iter()
        .map_init(
            || (Vec::new(), Vec::new()),
            |(bytes, pixels), work| {
                match work {
                    Work::Decode(codec, page, count) => {
                        decompress(*codec, page, bytes)?;
                        pixels.clear();
                        pixels.resize(count.unwrap_or(bytes.len()), bytes.first().copied().unwrap_or(0));
                    }
                    Work::Compress(codec, page) => compress(*codec, page, bytes)?,
                }
                black_box((&bytes, &pixels));
                Ok(())
            },
        )
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    done.into_iter().collect::<std::result::Result<(), String>>()?;
    Ok(seconds)
}

/// All pages of a file as they lie in it.
fn each_page(path: &str, mut take: impl FnMut(&ColumnChunkMetaData, Page) -> Result<()>) -> Result<()> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(path)?)?;
    let file = Arc::new(Bytes::from(fs::read(path)?));
    for group in metadata.row_groups() {
        for column in group.columns() {
            // The reader does not decompress a chunk that is marked as uncompressed.
            let raw = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
            let mut pages = SerializedPageReader::new(file.clone(), &raw, group.num_rows() as usize, None)?;
            while let Some(page) = pages.get_next_page()? {
                take(column, page)?;
            }
        }
    }
    Ok(())
}

fn decompress(codec: Compression, page: &[u8], out: &mut Vec<u8>) -> std::result::Result<(), String> {
    out.clear();
    match codec {
        Compression::UNCOMPRESSED => out.extend_from_slice(page),
        Compression::SNAPPY => {
            out.resize(snap::raw::decompress_len(page).map_err(|e| e.to_string())?, 0);
            snap::raw::Decoder::new().decompress(page, out).map_err(|e| e.to_string())?;
        }
        Compression::ZSTD(_) => {
            let size = zstd::zstd_safe::get_frame_content_size(page).ok().flatten().ok_or("a page without its size")?;
            out.reserve(size as usize);
            let mut decompressor = zstd::bulk::Decompressor::new().map_err(|e| e.to_string())?;
            decompressor.decompress_to_buffer(page, out).map_err(|e| e.to_string())?;
        }
        other => return Err(format!("pages compressed with {other}")),
    }
    Ok(())
}

/// As the crate's writer does: level 1 of zstd.
fn compress(codec: Compression, page: &[u8], out: &mut Vec<u8>) -> std::result::Result<(), String> {
    out.clear();
    match codec {
        Compression::UNCOMPRESSED => out.extend_from_slice(page),
        Compression::SNAPPY => {
            out.resize(snap::raw::max_compress_len(page.len()), 0);
            snap::raw::Encoder::new().compress(page, out).map_err(|e| e.to_string())?;
        }
        Compression::ZSTD(_) => {
            out.reserve(zstd::zstd_safe::compress_bound(page.len()));
            let mut compressor = zstd::bulk::Compressor::new(1).map_err(|e| e.to_string())?;
            compressor.compress_to_buffer(page, out).map_err(|e| e.to_string())?;
        }
        other => return Err(format!("pages compressed with {other}")),
    }
    Ok(())
}
