// Values of textures that stay on the device, in f32.

fn texture_finish(me: u32, record: u32, to: u32) {
    let pixels = f32(params.height * width());
    for (var i = me; i < texture_merged_words(); i += GROUP) {
        features[to + i] = sqrt(f32(records[record + i]) / pixels);
    }
}
