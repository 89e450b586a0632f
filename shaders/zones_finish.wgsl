// Means of zones that stay on the device, in f32.

fn zones_finish(me: u32, record: u32, to: u32) {
    for (var i = me; i < zones_cells(); i += GROUP) {
        let column = i % zones_columns();
        let row = i / zones_columns() % zones_rows();
        let wide = zones_start(width(), zones_columns(), column + 1u) - zones_start(width(), zones_columns(), column);
        let high = zones_start(params.height, zones_rows(), row + 1u) - zones_start(params.height, zones_rows(), row);
        var sum = 0.0;
        if tiled() == 1u {
            sum = f32(records[record + 2u * i + 1u]) * 4294967296.0 + f32(records[record + 2u * i]);
        } else {
            sum = f32(records[record + i]);
        }
        var mean = 0.0;
        if wide * high > 0u {
            mean = sum / f32(wide * high) / params.scale;
        }
        features[to + i] = mean;
    }
}
