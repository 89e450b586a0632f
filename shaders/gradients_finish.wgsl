// Lattice gradients that stay on the device, in f32.

// Rows or columns of a window, each as often as its weight says.
fn gradients_weighed(side: u32, window: u32) -> u32 {
    var sum = 0u;
    for (var cell = 0u; cell < 4u; cell++) {
        let start = gradients_start(side, 2u * window + cell);
        sum += gradients_weight(cell) * (gradients_start(side, 2u * window + cell + 1u) - start);
    }
    return sum;
}

fn gradients_finish(me: u32, record: u32, to: u32) {
    for (var i = me; i < gradients_values(); i += GROUP) {
        let sum = sum_of_record(record, i);
        let rows = gradients_weighed(params.height, i / 32u % GRADIENTS_WINDOWS);
        let columns = gradients_weighed(width(), i / 8u % GRADIENTS_WINDOWS);
        // Of a window without pixels the sum is zero.
        features[to + i] = sqrt(sum / (params.scale * f32(max(rows * columns, 1u))));
    }
}
