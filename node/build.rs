//! Compiles the node again when the web page was built again: the page is embedded, and its files change their names.

fn main() {
    let dist = "../web/dist";
    // A missing path would make every build a new one. Where the folder cannot be made there is no page to wait for.
    let _ = std::fs::create_dir_all(dist);
    println!("cargo:rerun-if-changed={dist}");
    println!("cargo:rerun-if-changed=build.rs");
}
