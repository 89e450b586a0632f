// For the frame of small images: no step on floats is measured.

fn measure_whole(me: u32, code: u32) {}
