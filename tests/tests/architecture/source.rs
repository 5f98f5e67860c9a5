//! What the text of the source files shows: who names str0m, and whether a core reaches for the operating system.

use std::path::{Path, PathBuf};

/// A file longer than this probably holds more than one noun.
const LINES_HINT: usize = 500;

/// What a core takes as an argument, or leaves to its driver.
const OUTSIDE_WORLD: &[&str] =
    &["std::fs", "std::env", "std::process", "std::thread", "UdpSocket", "TcpStream", "TcpListener"];

/// All files with this ending below a folder, sorted, without build output and packages.
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if name != "target" && name != "node_modules" && name != "dist" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The code of a file without comments, and without the tests at its end.
pub fn code_of(text: &str) -> String {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    code.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether a file of `node/core/src` may name str0m: only what is below `media/peer`, and the worker's tests, whose
/// clients are str0m's own.
pub fn may_name_str0m(below_src: &Path) -> bool {
    below_src.starts_with("media/peer") || below_src.starts_with("media/tests")
}

/// Names of the outside world in a core's code.
pub fn outside_world_in(code: &str) -> Vec<&'static str> {
    OUTSIDE_WORLD.iter().copied().filter(|name| code.contains(name)).collect()
}

/// Files that are longer than the hint, with their lines.
pub fn long_files(root: &Path) -> Vec<(usize, PathBuf)> {
    let files = ["rs", "ts", "tsx", "py", "mjs"].iter().flat_map(|ending| files_below(root, ending));
    let lines = |path: &Path| std::fs::read_to_string(path).map(|text| text.lines().count()).unwrap_or(0);
    let mut long: Vec<_> = files.map(|path| (lines(&path), path)).filter(|(lines, _)| *lines > LINES_HINT).collect();
    long.sort_by(|a, b| b.cmp(a));
    long
}
