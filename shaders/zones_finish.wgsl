// Means of zones that stay on the device, in f32.

fn zones_finish(me: u32, record: u32, to: u32) {
    for (var i = me; i < zones_cells(); i += GROUP) {
        let column = i % zones_columns();
        let row = i / zones_columns() % zones_rows();
        let wide = part_start(width(), zones_columns(), column + 1u) - part_start(width(), zones_columns(), column);
        let high = part_start(params.height, zones_rows(), row + 1u) - part_start(params.height, zones_rows(), row);
        let sum = sum_of_record(record, i);
        var mean = 0.0;
        if wide * high > 0u {
            mean = sum / f32(wide * high) / params.scale;
        }
        features[to + i] = mean;
    }
}
