//! The README shows the program that the examples hold.

#[test]
fn the_readme_opens_with_the_quickstart() {
    let read = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(path).unwrap().replace("\r\n", "\n")
    };
    let quickstart = read("examples/quickstart.rs");
    let (_, code) = quickstart.split_once("\n\n").unwrap();
    let readme = read("README.md");
    assert!(readme.contains(&format!("```rust,no_run\n{code}```")), "README.md and examples/quickstart.rs have parted");
}
