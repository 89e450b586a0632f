//! Augmented images depend on the seed, the epoch and the sample, and on nothing else.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use pixelfeat::stages::{MIX_WINDOW, Mixing};
use pixelfeat::{
    Chain, Engine, EngineOptions, Epochs, Error, FeatureSpec, Featurizer, KeepImage, MixedLabels, PixelType, Result,
    permutation, synthetic,
};

const ROWS: usize = 600;
const CHAIN: &str = "crop(pad=4),hflip(0.5),jitter(0.4,0.4,p=0.5),randaugment(2,9),erase(0.3)";

fn spec() -> FeatureSpec {
    let spec = FeatureSpec::default().with_stages(CHAIN.parse().unwrap()).with_seed(7);
    spec.with_keep_image(KeepImage::Bytes).with_augment_log(true)
}

fn mixing() -> FeatureSpec {
    spec().with_mixing(Mixing::new(Some(0.4), Some(1.0)).unwrap())
}

/// Digits with their numbers, in an order of rows.
fn digits(order: &[u32]) -> RecordBatch {
    let digits = synthetic::Digits::new(ROWS as u64, 9, ROWS).next().unwrap().unwrap();
    let numbers = Arc::new(UInt32Array::from_iter_values((0..ROWS as u32).map(|row| row * 3 + 1)));
    let mut columns: Vec<_> =
        digits.schema().fields().iter().map(|f| f.name().clone()).zip(digits.columns().to_vec()).collect();
    columns.push(("sample_id".to_owned(), numbers));
    let all = RecordBatch::try_from_iter(columns).unwrap();
    take_record_batch(&all, &UInt32Array::from(order.to_vec())).unwrap()
}

fn in_batches(all: &RecordBatch, rows: usize) -> impl RecordBatchReader + Send + 'static {
    let starts = (0..all.num_rows()).step_by(rows);
    let batches: Vec<_> = starts.map(|at| Ok(all.slice(at, rows.min(all.num_rows() - at)))).collect();
    RecordBatchIterator::new(batches, all.schema())
}

fn cpu(threads: usize) -> Engine {
    Engine::new(EngineOptions::backend(pixelfeat::Backend::Cpu).with_threads(threads)).unwrap()
}

fn collect(reader: Result<impl RecordBatchReader>) -> RecordBatch {
    let reader = reader.unwrap();
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn run(
    spec: FeatureSpec,
    engine: Engine,
    epochs: std::ops::Range<u32>,
    input: &RecordBatch,
    rows: usize,
) -> RecordBatch {
    let input = input.clone();
    let epochs = Epochs::new(epochs, move |_| Ok(Box::new(in_batches(&input, rows)))).unwrap();
    collect(Featurizer::new(engine, spec).stream(epochs))
}

/// The rows in the order of their epochs and samples.
fn sorted(batch: &RecordBatch) -> RecordBatch {
    let epochs = batch["epoch"].as_primitive::<UInt32Type>();
    let ids = batch["sample_id"].as_primitive::<UInt32Type>();
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_key(|&row| (epochs.value(row as usize), ids.value(row as usize)));
    take_record_batch(batch, &UInt32Array::from(order)).unwrap()
}

#[test]
fn batches_threads_epochs_and_order_change_nothing() {
    let in_order: Vec<u32> = (0..ROWS as u32).collect();
    // Within windows of rows that are mixed, so that partners stay.
    let turned: Vec<u32> = in_order.chunks(MIX_WINDOW).flat_map(|window| window.iter().rev().copied()).collect();
    for spec in [spec, mixing] {
        let whole = run(spec(), cpu(2), 0..3, &digits(&in_order), ROWS);
        assert_eq!(whole.num_rows(), 3 * ROWS);
        for batch in [1, 7, 512, 8_192] {
            assert!(run(spec(), cpu(1), 0..3, &digits(&in_order), batch) == whole, "batches of {batch}");
        }
        for (at, epochs) in [(0, 0..1), (1, 1..3), (2, 2..3)] {
            let rows = epochs.len() * ROWS;
            assert!(run(spec(), cpu(2), epochs, &digits(&in_order), 100) == whole.slice(at * ROWS, rows), "epoch {at}");
        }
        assert!(sorted(&run(spec(), cpu(2), 0..3, &digits(&turned), 99)) == sorted(&whole), "another order");
        // Controls: the comparison sees what differs.
        let images = |epoch: usize| whole["image"].slice(epoch * ROWS, ROWS);
        assert!(images(0) != images(1) && images(1) != images(2));
        assert!(run(spec().with_seed(8), cpu(2), 0..3, &digits(&in_order), 100) != whole);
    }
}

#[test]
fn every_engine_sees_the_same_images() {
    let in_order: Vec<u32> = (0..ROWS as u32).collect();
    let mut expected = None;
    for (name, engine) in crate::support::engines() {
        let got = run(mixing(), engine, 1..2, &digits(&in_order), 128);
        assert!(*expected.get_or_insert_with(|| got.clone()) == got, "{name}");
    }
}

#[test]
fn mixed_rows_tell_their_partners_and_labels() {
    let in_order: Vec<u32> = (0..ROWS as u32).collect();
    let input = digits(&in_order);
    let labels = input["label"].clone();
    let out = run(mixing(), cpu(2), 0..1, &input, 64);
    let schema = out.schema();
    assert_eq!(schema.metadata()["pixelfeat.mixing"], "mixup(0.4),cutmix(1)");
    assert_eq!(schema.metadata()["pixelfeat.stages"], CHAIN.parse::<Chain>().unwrap().to_string());
    assert_eq!(schema.metadata()["pixelfeat.seed"], "7");
    let partners = out["sample_id_b"].as_primitive::<UInt64Type>();
    let lambda = out["lambda"].as_primitive::<Float32Type>();
    let logs = out["augment_log"].as_struct();
    assert_eq!(logs.column_names(), ["crop", "hflip", "jitter", "randaugment", "erase", "mix"]);
    let how = logs.column(5).as_string::<i32>();
    let alone = run(spec(), cpu(2), 0..1, &input, 64);
    let pixels = |batch: &RecordBatch, row| batch["image"].as_fixed_size_binary().value(row).to_vec();
    let (mut mixed, mut cut) = (0, 0);
    for row in 0..ROWS {
        let partner = (partners.value(row) as usize - 1) / 3;
        assert_eq!(row / MIX_WINDOW, partner / MIX_WINDOW);
        assert!(row != partner, "a circle of more than one has no partner of itself");
        assert_eq!(out["label_b"].slice(row, 1).to_data(), labels.slice(partner, 1).to_data());
        let share = f64::from(lambda.value(row));
        let (own, other) = (pixels(&alone, row), pixels(&alone, partner));
        let got = pixels(&out, row);
        if let Some(place) = how.value(row).strip_prefix("cut(") {
            let numbers =
                place.trim_end_matches(')').split(',').map(|part| part.split_once('=').unwrap().1.parse().unwrap());
            let [y, x, height, width]: [usize; 4] = numbers.collect::<Vec<_>>().try_into().unwrap();
            let inside = |at: usize| (y..y + height).contains(&(at / 28)) && (x..x + width).contains(&(at % 28));
            let want: Vec<u8> = (0..784).map(|at| if inside(at) { other[at] } else { own[at] }).collect();
            assert_eq!(got, want, "row {row}");
            assert!((share - (1.0 - (height * width) as f64 / 784.0)).abs() < 1e-4);
            cut += 1;
        } else {
            for ((got, a), b) in got.iter().zip(own).zip(other) {
                let want = share * f64::from(a) + (1.0 - share) * f64::from(b);
                assert!((f64::from(*got) - want).abs() < 0.51, "row {row}");
            }
            mixed += 1;
        }
    }
    assert!(mixed > 200 && cut > 200, "{mixed} {cut}");

    let soft = mixing().with_labels(MixedLabels::Soft("label".to_owned(), 10));
    let soft = run(soft, cpu(2), 0..1, &input, 64);
    let own = labels.as_primitive::<Int64Type>();
    for row in 0..ROWS {
        let partner = (partners.value(row) as usize - 1) / 3;
        let list = soft["soft_label"].as_fixed_size_list().value(row);
        let mut want = [0.0; 10];
        want[own.value(row) as usize] += lambda.value(row);
        want[own.value(partner) as usize] += 1.0 - lambda.value(row);
        assert_eq!(list.as_primitive::<Float32Type>().values()[..], want);
    }
}

#[test]
fn what_cannot_be_done_is_told() {
    let input = digits(&[0, 1, 2]);
    let told = |spec: FeatureSpec, input: &RecordBatch| -> String {
        let stream = Featurizer::new(cpu(1), spec).stream(in_batches(input, 10));
        let first = stream.and_then(|mut stream| stream.next().unwrap().map_err(Error::from));
        first.unwrap_err().to_string()
    };
    let without = |name: &str| {
        let at = input.schema().index_of(name).unwrap();
        let mut input = input.clone();
        input.remove_column(at);
        input
    };
    assert_eq!(
        told(mixing(), &without("label")),
        "mixing: mixup(0.4),cutmix(1) mixes labels, but there is no column `label`"
    );
    let few = mixing().with_labels(MixedLabels::Soft("label".to_owned(), 1));
    let why = told(few, &input);
    assert!(why.starts_with("soft labels: `label` has the label ") && why.ends_with("none of 1 classes"), "{why}");
    let large = spec().with_stages("hflip,crop(32x28)".parse().unwrap());
    assert_eq!(
        told(large, &input),
        "stages: at character 7: crop: 32x28 is larger than the image of 28x28 with its padding of 0"
    );
    let floats = spec().with_pixel_type(PixelType::F32).with_keep_image(KeepImage::No);
    assert!(told(floats, &input).contains("jitter: it is for 8 and 16-bit pixels"));
    let ragged = mixing().with_ragged(true).with_keep_image(KeepImage::Tensor);
    assert_eq!(told(ragged, &input), "mixing: images of different sizes cannot be mixed");
    let mut named = without("sample_id");
    let at = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let mut columns: Vec<_> =
        named.schema().fields().iter().map(|f| f.name().clone()).zip(named.columns().to_vec()).collect();
    columns.push(("sample_id".to_owned(), at));
    named = RecordBatch::try_from_iter(columns).unwrap();
    assert!(told(spec(), &named).starts_with("sample_id: it is a column of Utf8"));
    assert!(Epochs::new(3..3, |_| unreachable!()).is_err());
    let array = Featurizer::new(cpu(1), mixing()).featurize(&input["image"]);
    assert!(array.unwrap_err().to_string().starts_with("mixing: "));
}

#[test]
fn epochs_come_in_orders_of_their_own() {
    let read = |epochs, block| {
        let open = |_| Ok(Box::new(synthetic::Digits::new(500, 9, 64)) as pixelfeat::BoxedReader);
        collect(Epochs::new(epochs, open).map(|epochs| epochs.shuffled(5, block)))
    };
    let all = read(0..2, 150);
    let ids = all["sample_id"].as_primitive::<UInt64Type>();
    assert_eq!(all.num_rows(), 1_000);
    for (epoch, rows) in ids.values().chunks(500).enumerate() {
        for (block, rows) in rows.chunks(150).enumerate() {
            let order = permutation(5, epoch as u32, block as u64, rows.len());
            let want: Vec<u64> = order.iter().map(|row| (block * 150 + row) as u64).collect();
            assert_eq!(rows, want);
            assert!(!rows.is_sorted());
        }
    }
    assert!(read(1..2, 150) == all.slice(500, 500));
    // A block of one row, or of more than there are.
    assert!(read(0..1, 1)["sample_id"].as_primitive::<UInt64Type>().values().is_sorted());
    assert_eq!(read(0..1, 10_000).num_rows(), 500);
}

#[test]
fn normalized_images_are_floats() {
    let stages = "hflip(0.5),normalize(mean=0.25,std=0.5)".parse().unwrap();
    let spec = FeatureSpec::default().with_stages(stages).with_keep_image(KeepImage::Tensor);
    let out = run(spec.clone(), cpu(2), 0..1, &digits(&[0, 1, 2]), 2);
    let plain = run(spec.with_stages("hflip(0.5)".parse().unwrap()), cpu(2), 0..1, &digits(&[0, 1, 2]), 2);
    let got = out["image"].as_fixed_size_list().values().as_primitive::<Float32Type>().clone();
    let bytes = plain["image"].as_fixed_size_list().values().as_primitive::<arrow_array::types::UInt8Type>().clone();
    assert_eq!(out.schema().metadata()["pixelfeat.pixel_type"], "f32");
    for (got, byte) in got.values().iter().zip(bytes.values()) {
        assert!((f64::from(*got) - (f64::from(*byte) / 255.0 - 0.25) / 0.5).abs() < 1e-6);
    }
}

#[cfg(all(feature = "json", feature = "parquet"))]
#[test]
fn the_program_augments() {
    use pixelfeat::io;
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = crate::support::example("featurize").args(arguments).current_dir(folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    io::write(folder.path().join("in.parquet"), synthetic::Digits::new(300, 9, 300), &io::WriteOptions::default())
        .unwrap();
    let augment =
        ["in.parquet", "--augment", CHAIN, "--mixup", "0.2", "--seed", "7", "--keep-image", "--augment-log", "-q"];
    let written = |name: &str, more: &[&str]| {
        let (done, why) = run(&[&augment[..], &["-o", name], more].concat());
        assert!(done, "{why}");
        collect(io::open(folder.path().join(name), &io::ReadOptions::default()))
    };
    let all = written("all.parquet", &["--epochs", "0..3"]);
    let one = written("one.parquet", &["--epochs", "2", "--batch-size", "50"]);
    assert_eq!((all.num_rows(), one.num_rows()), (900, 300));
    assert!(one.columns() == all.slice(600, 300).columns());
    let soft = written("soft.parquet", &["--soft-labels", "10"]);
    assert!(soft.column_by_name("soft_label").is_some() && soft.column_by_name("label_b").is_none());
    let (done, why) = run(&["in.parquet", "--augment", "hflip,crop(pad=x)"]);
    assert!(!done && why.contains("at character 16: crop: pad is `x`"), "{why}");
    let (done, why) = run(&["in.parquet", "--augment", "hflip", "--epochs", "3..3"]);
    assert!(!done && why.contains("not a range of epochs"), "{why}");
}

#[test]
fn masks_are_cut_with_their_images() {
    // The image of each row is its own mask, but for some rows without a mask.
    let input = digits(&(0..300).collect::<Vec<_>>());
    let with_mask: UInt32Array = (0..300).map(|row| (row % 9 > 0).then_some(row)).collect();
    let masks = arrow_select::take::take(&input["image"], &with_mask, None).unwrap();
    let names = input.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let columns = names.into_iter().zip(input.columns().to_vec()).chain([("mask".to_owned(), masks)]);
    let input = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let spec = |mixup, cutmix| {
        let spec = FeatureSpec::default().with_stages("crop(pad=2),hflip(0.5)".parse().unwrap());
        let spec = spec.with_keep_image(KeepImage::Tensor).with_mask("mask".to_owned());
        spec.with_mixing(Mixing::new(mixup, cutmix).unwrap())
    };
    let out = run(spec(None, Some(1.0)), cpu(2), 0..1, &input, 100);
    let (images, masks) = (out["image"].as_fixed_size_list(), out["mask"].as_fixed_size_list());
    let partners = out["sample_id_b"].as_primitive::<UInt64Type>();
    let mut alike = 0;
    for row in 0..out.num_rows() {
        let partner = (partners.value(row) as usize - 1) / 3;
        assert_eq!(masks.is_valid(row), with_mask.is_valid(row) && with_mask.is_valid(partner), "row {row}");
        if masks.is_valid(row) {
            assert_eq!(masks.value(row).to_data(), images.value(row).to_data(), "row {row}");
            alike += 1;
        }
    }
    assert!(alike > 200, "{alike}");
    for (spec, why) in [
        (spec(Some(0.2), None), "mask: MixUp blends images"),
        (spec(Some(0.2), Some(1.0)), "mask: MixUp blends images"),
        (spec(None, Some(1.0)).with_boxes("boxes".to_owned()), "boxes: what CutMix leaves of a box"),
    ] {
        let refused = Featurizer::new(cpu(1), spec).stream(in_batches(&input, 9)).unwrap_err().to_string();
        assert!(refused.starts_with(why), "{refused}");
    }
}

#[test]
fn masks_and_boxes_move_with_the_images() {
    use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder};
    // The image of each row is its own mask, so that both must come out alike; the box is the whole mask.
    let input = digits(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let mut boxes = ListBuilder::new(FixedSizeListBuilder::new(Float32Builder::new(), 4));
    for row in 0..8 {
        let pixels = input["image"].as_fixed_size_list().value(row);
        let pixels = pixels.as_primitive::<arrow_array::types::UInt8Type>().values().to_vec();
        let bright = |at: &usize| pixels[*at] > 0;
        let (rows, columns) = ((0..784).filter(bright).map(|at| at / 28), (0..784).filter(bright).map(|at| at % 28));
        let sides =
            [columns.clone().min(), rows.clone().min(), columns.max().map(|x| x + 1), rows.max().map(|y| y + 1)];
        sides.iter().for_each(|side| boxes.values().values().append_value(side.unwrap() as f32));
        boxes.values().append(true);
        // One that is always cut away.
        [0.0, 0.0, 1.0, 1.0].iter().for_each(|side| boxes.values().values().append_value(*side));
        boxes.values().append(true);
        boxes.append(true);
    }
    let names = input.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let mut columns: Vec<_> = names.into_iter().zip(input.columns().to_vec()).collect();
    columns.push(("mask".to_owned(), input["image"].clone()));
    columns.push(("boxes".to_owned(), Arc::new(boxes.finish())));
    let input = RecordBatch::try_from_iter(columns).unwrap();
    let stages = "crop(24x24,pad=0),hflip(0.5),affine(rotate=20,translate=0.1,p=0.5),noise(3)";
    let spec = FeatureSpec::default().with_stages(stages.parse().unwrap()).with_keep_image(KeepImage::Tensor);
    let spec = spec.with_mask("mask".to_owned()).with_boxes("boxes".to_owned());
    let out = run(spec.clone(), cpu(2), 0..4, &input, 3);
    assert!(run(spec.clone(), cpu(1), 0..4, &input, 100) == out);
    let bytes = |name: &str, row| {
        let all = out[name].as_fixed_size_list().value(row);
        all.as_primitive::<arrow_array::types::UInt8Type>().values().to_vec()
    };
    let mut gone = 0;
    for row in 0..out.num_rows() {
        let (image, mask) = (bytes("image", row), bytes("mask", row));
        assert_eq!(mask.len(), 24 * 24);
        assert!(image.iter().zip(&mask).all(|(image, mask)| image.abs_diff(*mask) <= 14), "only noise is left");
        assert_ne!(image, mask);
        let kept = out["boxes_kept"].as_list::<i32>().value(row);
        let kept = kept.as_primitive::<UInt32Type>().values().to_vec();
        let dropped = out["boxes_dropped"].as_primitive::<UInt32Type>().value(row);
        assert_eq!(kept.len() + dropped as usize, 2);
        gone += dropped;
        let lists = out["boxes"].as_list::<i32>().value(row);
        let sides = lists.as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec();
        let around = kept.iter().position(|place| *place == 0).map(|at| &sides[4 * at..][..4]).unwrap();
        for at in (0..mask.len()).filter(|at| mask[*at] > 0) {
            let (y, x) = ((at / 24) as f32, (at % 24) as f32);
            let inside = around[0] - 1.0 <= x
                && x + 1.0 <= around[2] + 1.0
                && around[1] - 1.0 <= y
                && y + 1.0 <= around[3] + 1.0;
            assert!(inside, "row {row}: {around:?}, {y} {x}");
        }
    }
    assert!(gone > 10, "{gone}");
    let refused = Featurizer::new(cpu(1), spec.clone().with_boxes("label".to_owned())).stream(in_batches(&input, 9));
    assert!(refused.unwrap_err().to_string().starts_with("boxes: `label` is Int64, not lists of boxes"));
    let refused = Featurizer::new(cpu(1), spec.with_mask("masks".to_owned())).stream(in_batches(&input, 9));
    assert!(refused.unwrap_err().to_string().starts_with("no column `masks`"));
}
