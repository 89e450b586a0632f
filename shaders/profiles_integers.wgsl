// What the profiles of 8 and 16-bit pixels have in common. Every number is exact. The part in a record is the sums of the
// rows, then those of the columns, each [channel · side + place], one or two a word; then Σp² of every channel.

fn profiles_put_sum(record: u32, at: u32, sum: u32) {
    if profiles_sums_a_word() == 2u {
        add_record_word(record + (at >> 1u), sum << (16u * (at & 1u)));
    } else {
        set_record_word(record + at, sum);
    }
}

fn profiles_put_row(record: u32, channel: u32, y: u32, sum: u32) {
    profiles_put_sum(record, channel * block_rows() + y, sum);
}

// `value` counts along the row, channel by channel of each pixel.
fn profiles_put_column(record: u32, value: u32, sum: u32) {
    let place = (value % channels()) * block_pixels() + value / channels();
    profiles_put_sum(record, channels() * block_rows() + place, sum);
}

fn profiles_sum_in(record: u32, at: u32) -> u32 {
    if profiles_sums_a_word() == 2u {
        return (records[record + (at >> 1u)] >> (16u * (at & 1u))) & 0xffffu;
    }
    return records[record + at];
}

fn profiles_merged_sum(image: u32, place_in_image: u32, part: u32) -> u32 {
    var sum = 0u;
    if place_in_image < channels() * params.height {
        let y = place_in_image % params.height;
        let place = (place_in_image / params.height) * block_rows() + y % block_rows();
        for (var x = 0u; x < across(); x++) {
            sum += profiles_sum_in(record_of(image, y / block_rows(), x) + part, place);
        }
    } else {
        let column = place_in_image - channels() * params.height;
        let x = column % width();
        let place = channels() * block_rows() + (column / width()) * block_pixels() + x % block_pixels();
        for (var band = 0u; band < bands(); band++) {
            sum += profiles_sum_in(record_of(image, band, x / block_pixels()) + part, place);
        }
    }
    return sum;
}

fn profiles_merged_sums() -> u32 {
    return channels() * (params.height + width());
}

fn profiles_merged_sum_words() -> u32 {
    return (profiles_merged_sums() + profiles_merged_a_word() - 1u) / profiles_merged_a_word();
}

fn profiles_merged_words() -> u32 {
    return profiles_merged_sum_words() + 2u * channels() * bands();
}

fn profiles_merge_tasks() -> u32 {
    return profiles_merged_words();
}

// A word a task. Σp² stays apart by bands, low and high words, [channel · bands + band].
fn profiles_merge(image: u32, task: u32, part: u32, to: u32) {
    let merged = profiles_merged_sum_words();
    if task < merged {
        var result = profiles_merged_sum(image, task * profiles_merged_a_word(), part);
        if profiles_merged_a_word() == 2u && 2u * task + 1u < profiles_merged_sums() {
            result |= profiles_merged_sum(image, 2u * task + 1u, part) << 16u;
        }
        results[to + task] = result;
    } else if ((task - merged) & 1u) == 0u {
        let at = (task - merged) / 2u;
        var sum_sq = vec2<u32>();
        for (var x = 0u; x < across(); x++) {
            let record = record_of(image, at % bands(), x) + part;
            sum_sq = wide_plus(sum_sq, profiles_sum_sq_in(record + profiles_sum_words(), at / bands()));
        }
        results[to + task] = sum_sq.x;
        results[to + task + 1u] = sum_sq.y;
    }
}
