// For the frame of small images: what is measured stays in workgroup memory.

fn measured(at: u32) -> u32 {
    return atomicLoad(&measures[at]);
}

fn measure_whole(me: u32, code: u32) {
    let here = is_measured(code);
    if here {
        clear_measures(me);
    }
    workgroupBarrier();
    if here {
        count(me, 0u, height() * width());
    }
    workgroupBarrier();
    prepare_measures(me);
    workgroupBarrier();
}
