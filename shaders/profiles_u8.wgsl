// Profiles of 8-bit pixels, four a word. A block has fewer than 2¹⁶ values, so its Σp² fits 32 bits.

// The bytes of a word that belong to the channel of its first byte.
fn profiles_channel_mask() -> u32 {
    switch channels() {
        case 1u: { return 0xffffffffu; }
        case 2u: { return 0x00ff00ffu; }
        case 3u: { return 0xff0000ffu; }
        default: { return 0x000000ffu; }
    }
}

// Σp and Σp² of one channel of a row.
fn profiles_row(at: u32, values: u32, channel: u32, y: u32, record: u32) {
    let words = (values + 3u) / 4u;
    // Bytes from a word's start to the channel's first value in it.
    var phase = channel;
    var sum = 0u;
    var sum_sq = 0u;
    for (var i = 0u; i < words; i++) {
        var word = word_at(at + 4u * i) & (profiles_channel_mask() << (8u * phase));
        if i + 1u == words {
            word &= 0xffffffffu >> (8u * (4u * words - values));
        }
        sum += dot4U8Packed(word, 0x01010101u);
        sum_sq += dot4U8Packed(word, word);
        phase = (phase + channels() - 4u % channels()) % channels();
    }
    profiles_put_row(record, channel, y, sum);
    add_record_word(record + profiles_sum_words() + channel, sum_sq);
}

// The sums of four neighbouring columns, two in each word, spilled before 16 bits are full (256 · 255 < 2¹⁶).
fn profiles_column(lead: u32, first: u32, rows: u32, word: u32, values: u32, record: u32) {
    var sums = vec4<u32>();
    var row = first;
    while row < first + rows {
        let stop = min(row + 256u, first + rows);
        var even = 0u;
        var odd = 0u;
        for (; row < stop; row++) {
            let four = word_at(row_at(lead, row) + 4u * word);
            even += four & 0x00ff00ffu;
            odd += (four >> 8u) & 0x00ff00ffu;
        }
        sums += vec4<u32>(even & 0xffffu, odd & 0xffffu, even >> 16u, odd >> 16u);
    }
    for (var i = 0u; i < 4u && 4u * word + i < values; i++) {
        profiles_put_column(record, 4u * word + i, sums[i]);
    }
}

fn profiles_sum_sq_in(at: u32, channel: u32) -> vec2<u32> {
    return vec2<u32>(records[at + channel], 0u);
}
