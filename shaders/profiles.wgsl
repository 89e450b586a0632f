// The family `profiles`: sums of rows, of columns and of squares. One task sums a channel of a row, or the columns that
// share a word.

fn profiles_row_tasks(block: Block) -> u32 {
    return block.images * block.rows * channels();
}

// Words of a row.
fn profiles_columns(block: Block) -> u32 {
    return (block.values * VALUE_BYTES + 3u) / 4u;
}

fn profiles_tasks(block: Block) -> u32 {
    return profiles_row_tasks(block) + block.images * profiles_columns(block);
}

fn profiles_task(block: Block, task: u32, at: u32) {
    if task < profiles_row_tasks(block) {
        let row = task / channels();
        let image = row / block.rows;
        let record = image * record_words() + at;
        profiles_row(row_at(block.lead, row), block.values, task % channels(), row - image * block.rows, record);
    } else {
        let columns = profiles_columns(block);
        let column = task - profiles_row_tasks(block);
        let image = column / columns;
        let record = image * record_words() + at;
        profiles_column(block.lead, image * block.rows, block.rows, column - image * columns, block.values, record);
    }
}
