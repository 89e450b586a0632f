// Shares of the histogram that stay on the device, in f32.

fn histogram_finish(me: u32, record: u32, to: u32) {
    let pixels = f32(params.height * width());
    for (var i = me; i < histogram_merged_words(); i += GROUP) {
        features[to + i] = f32(records[record + i]) / pixels;
    }
}
