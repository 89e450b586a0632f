// Workgroup memory for any plan, which is told by the params: the block, then the records of its images.

var<workgroup> memory: array<atomic<u32>, WORKGROUP_WORDS>;

fn block_word(at: u32) -> u32 {
    return atomicLoad(&memory[at]);
}

fn set_block_word(at: u32, word: u32) {
    atomicStore(&memory[at], word);
}

fn record_word(at: u32) -> u32 {
    return atomicLoad(&memory[block_words() + at]);
}

fn set_record_word(at: u32, word: u32) {
    atomicStore(&memory[block_words() + at], word);
}

// Returns what was there before.
fn add_record_word(at: u32, word: u32) -> u32 {
    return atomicAdd(&memory[block_words() + at], word);
}
