// For the frame of images of any size: measures are cleared, counted by several workgroups an image, and prepared.

@compute @workgroup_size(128)
fn clear(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let word = id.y * groups.x * GROUP + id.x;
    if word < params.images * MEASURES {
        atomicStore(&image_measures[word], 0u);
    }
}

@compute @workgroup_size(128)
fn measure(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let number = group.y * groups.x + group.x;
    let sides = shape_of(params.slot);
    let pixels_in = sides.x * sides.y;
    let parts = (pixels_in + MEASURED_PIXELS - 1u) / MEASURED_PIXELS;
    let image = number / parts;
    if image >= params.images || !is_measured(told[record_of(image, params.slot)]) {
        return;
    }
    begin(image);
    clear_measures(me);
    workgroupBarrier();
    let first = (number - image * parts) * MEASURED_PIXELS;
    count(me, first, min(first + MEASURED_PIXELS, pixels_in));
    workgroupBarrier();
    for (var i = me; i < MEASURES; i += GROUP) {
        let here = atomicLoad(&measures[i]);
        if i == SUM {
            let before = atomicAdd(&image_measures[measures_at + SUM], here);
            if before + here < before {
                atomicAdd(&image_measures[measures_at + SUM_HIGH], 1u);
            }
        } else if i != SUM_HIGH && here > 0u {
            if i < COUNTS {
                atomicMax(&image_measures[measures_at + i], here);
            } else {
                atomicAdd(&image_measures[measures_at + i], here);
            }
        }
    }
}

@compute @workgroup_size(128)
fn prepare(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let image = group.y * groups.x + group.x;
    if image >= params.images || !is_measured(told[record_of(image, params.slot)]) {
        return;
    }
    begin(image);
    for (var i = me; i < MEASURES; i += GROUP) {
        atomicStore(&measures[i], measured(i));
    }
    workgroupBarrier();
    prepare_measures(me);
    workgroupBarrier();
    for (var i = me; i < MEASURES; i += GROUP) {
        atomicStore(&image_measures[measures_at + i], atomicLoad(&measures[i]));
    }
}
