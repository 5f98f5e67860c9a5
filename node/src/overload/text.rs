//! Files of the kernel that are read again and again: opened once, so that they can be read when there is no file handle
//! left, and into one buffer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The largest that is read: `memory.stat` has some 60 lines.
const BYTES_MAX: usize = 8 * 1024;

/// A file of the kernel.
pub struct Text(File);

/// Where files are read to.
pub struct Buffer(Box<[u8; BYTES_MAX]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(Box::new([0; BYTES_MAX]))
    }
}

impl Text {
    /// Opens it; none when there is no such file.
    pub fn open(path: &Path) -> Option<Self> {
        File::open(path).ok().map(Self)
    }

    /// What it says now.
    pub fn read<'a>(&self, buffer: &'a mut Buffer) -> Option<&'a str> {
        let count = self.0.read_at(&mut buffer.0[..], 0).ok()?;
        std::str::from_utf8(&buffer.0[..count]).ok()
    }

    /// The number that is all it says.
    pub fn number(&self, buffer: &mut Buffer) -> Option<u64> {
        self.read(buffer)?.trim().parse().ok()
    }
}

/// The number after a line's first word.
pub fn value_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', ':', '\t']))?;
    rest.split_whitespace().next()?.parse().ok()
}
