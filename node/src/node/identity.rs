//! Who this node is: its key, made at the first start and kept in the data folder, and the certificate of its mesh.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use origo_auth::{MeshAuthority, NodeIdentity, NodeKey};

use crate::config::Config;

/// The key's file: Ed25519 in PKCS #8, DER.
const KEY_FILE: &str = "node.key";
/// No key is larger, bytes.
const KEY_BYTES_MAX: u64 = 4096;

/// Reads or makes the key, and has the mesh's authority sign it.
pub fn open(config: &Config) -> anyhow::Result<NodeIdentity> {
    let key = key(&config.data_dir)?;
    let authority = MeshAuthority::from_secret(config.mesh_secret.expose().as_bytes()).context("mesh_secret")?;
    authority.issue(&key).context("signing the node's certificate")
}

/// Where the key is.
pub fn path(config: &Config) -> PathBuf {
    config.data_dir.join(KEY_FILE)
}

fn key(folder: &Path) -> anyhow::Result<NodeKey> {
    let path = folder.join(KEY_FILE);
    match read(&path) {
        Ok(der) => NodeKey::from_pkcs8_der(&der).with_context(|| format!("the node's key {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = NodeKey::generate(&mut rand::rng());
            write(folder, &path, &key.to_pkcs8_der()).with_context(|| format!("keeping {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("reading the node's key {}", path.display())),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > KEY_BYTES_MAX {
        return Err(io::Error::other("the file is too large for a key"));
    }
    fs::read(path)
}

/// Written beside and moved into place, so that there is never half a key.
fn write(folder: &Path, path: &Path, der: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = path.with_extension("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(der)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_node_keeps_its_key_over_restarts_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = key(&data).unwrap().id();
        assert_eq!(key(&data).unwrap().id(), first);
        let mode = fs::metadata(data.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_said_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KEY_FILE), "no key").unwrap();
        let error = format!("{:#}", key(folder.path()).err().unwrap());
        assert!(error.contains("node.key") && error.contains("PKCS #8"), "{error}");
    }
}
