//! Where a demo keeps its nodes' keys and logs: a temporary folder that goes with it, or a given one that stays.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The demo's folder.
pub enum Folder {
    /// Removed at the end.
    Temporary(tempfile::TempDir),
    /// Kept.
    Given(PathBuf),
}

impl Folder {
    /// Makes it.
    pub fn open(given: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = given else {
            let temporary = tempfile::Builder::new().prefix("origo-demo-").tempdir();
            return Ok(Self::Temporary(temporary.context("making a temporary folder")?));
        };
        std::fs::create_dir_all(path).with_context(|| format!("making the folder {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("reading the folder {}", path.display()))?;
        Ok(Self::Given(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }

    /// Removes what is temporary.
    pub fn close(self) {
        if let Self::Temporary(folder) = self
            && let Err(error) = folder.close()
        {
            eprintln!("origo: removing the demo's folder: {error}");
        }
    }
}
