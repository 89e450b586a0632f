// Features that stay on the device: every family makes its own from the records of images.

// One image a workgroup. `params.first` counts images in the features, `params.stride` values from one to the next.
@compute @workgroup_size(128)
fn finish(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let image = group.y * groups.x + group.x;
    if image >= params.images {
        return;
    }
    finish_families(me, image * result_words(), (params.first + image) * params.stride);
}
