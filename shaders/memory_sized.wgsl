// Workgroup memory of the sizes that a plan asks for: the block, and the records of its images.

var<workgroup> block_memory: array<u32, BLOCK_WORDS>;
var<workgroup> record_memory: array<atomic<u32>, RECORDS_WORDS>;

fn block_word(at: u32) -> u32 {
    return block_memory[at];
}

fn set_block_word(at: u32, word: u32) {
    block_memory[at] = word;
}

fn record_word(at: u32) -> u32 {
    return atomicLoad(&record_memory[at]);
}

fn set_record_word(at: u32, word: u32) {
    atomicStore(&record_memory[at], word);
}

// Returns what was there before.
fn add_record_word(at: u32, word: u32) -> u32 {
    return atomicAdd(&record_memory[at], word);
}
