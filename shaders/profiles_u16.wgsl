// Profiles of 16-bit pixels, two a word. Squares are made of bytes: with p = 256·h + l, p² = 65536·h² + 512·h·l + l². A
// block has fewer than 2¹⁶ values, so each of the three sums fits 32 bits; Σp² takes 48, in two words.

// The halves of a word that belong to a channel whose first value in it is `phase` values from its start.
fn profiles_channel_mask(phase: u32) -> u32 {
    if channels() == 1u {
        return 0xffffffffu;
    }
    return select(0u, 0xffffu << (16u * (phase & 1u)), phase < 2u);
}

// Σp and Σp² of one channel of a row.
fn profiles_row(at: u32, values: u32, channel: u32, y: u32, record: u32) {
    let words = (values + 1u) / 2u;
    var phase = channel;
    var sum = 0u;
    // Σl², Σh·l and Σh².
    var squares = vec3<u32>();
    for (var i = 0u; i < words; i++) {
        var word = word_at(at + 4u * i) & profiles_channel_mask(phase);
        if i + 1u == words {
            word &= 0xffffffffu >> (16u * (2u * words - values));
        }
        let low = word & 0x00ff00ffu;
        let high = (word >> 8u) & 0x00ff00ffu;
        sum += (word & 0xffffu) + (word >> 16u);
        squares += vec3<u32>(dot4U8Packed(low, low), dot4U8Packed(high, low), dot4U8Packed(high, high));
        phase = (phase + channels() - 2u % channels()) % channels();
    }
    profiles_put_row(record, channel, y, sum);
    let middle = vec2<u32>(squares.y << 9u, squares.y >> 23u);
    let top = vec2<u32>(squares.z << 16u, squares.z >> 16u);
    let all = wide_plus(wide_plus(vec2<u32>(squares.x, 0u), middle), top);
    let sum_sq = record + profiles_sum_words() + 2u * channel;
    let before = add_record_word(sum_sq, all.x);
    add_record_word(sum_sq + 1u, all.y + select(0u, 1u, before + all.x < before));
}

// The sums of two neighbouring columns.
fn profiles_column(lead: u32, first: u32, rows: u32, word: u32, values: u32, record: u32) {
    var sums = vec2<u32>();
    for (var row = first; row < first + rows; row++) {
        let two = word_at(row_at(lead, row) + 4u * word);
        sums += vec2<u32>(two & 0xffffu, two >> 16u);
    }
    profiles_put_column(record, 2u * word, sums.x);
    if 2u * word + 1u < values {
        profiles_put_column(record, 2u * word + 1u, sums.y);
    }
}

fn profiles_sum_sq_in(at: u32, channel: u32) -> vec2<u32> {
    return vec2<u32>(records[at + 2u * channel], records[at + 2u * channel + 1u]);
}
