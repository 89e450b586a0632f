//! What `inspect` draws and tells: the modules of the program, with their own tests.
#![allow(dead_code, reason = "the rest of the program is not here")]

#[path = "../examples/inspect/canvas.rs"]
mod canvas;
#[path = "../examples/inspect/panels.rs"]
mod panels;
#[path = "../examples/inspect/picture.rs"]
mod picture;
#[path = "../examples/inspect/shapes.rs"]
mod shapes;
#[path = "../examples/inspect/values.rs"]
mod values;
