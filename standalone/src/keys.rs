//! The data directory: the key that signs grants, and which cameras there are. The key is readable by its owner alone.

use anyhow::Context;
use protocol::CameraId;
use protocol::grant::Signer;
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the issuer until there is central control.
pub(crate) const ISSUER: &str = "standalone";

fn key_path(data: &Path) -> PathBuf {
    data.join("grant-key.p8")
}

fn cameras_path(data: &Path) -> PathBuf {
    data.join("cameras.json")
}

/// The directory's signer, with a new key at the first start.
pub(crate) fn load_or_make(data: &Path) -> anyhow::Result<Signer> {
    fs::create_dir_all(data).with_context(|| format!("data directory {}", data.display()))?;
    let path = key_path(data);
    if !path.exists() {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok().context("no randomness for a key")?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(key.as_ref())?;
    }
    existing(data)
}

/// The directory's signer.
pub(crate) fn existing(data: &Path) -> anyhow::Result<Signer> {
    let path = key_path(data);
    let key = fs::read(&path)
        .with_context(|| format!("{}: no key there; `standalone demo --data ...` makes one", path.display()))?;
    Signer::new(ISSUER, &key).with_context(|| format!("{}", path.display()))
}

/// Remembers which cameras there are.
pub(crate) fn remember_cameras(data: &Path, cameras: &[CameraId]) -> anyhow::Result<()> {
    let path = cameras_path(data);
    fs::write(&path, serde_json::to_vec(cameras)?).with_context(|| format!("{}", path.display()))
}

/// The cameras of the last start.
pub(crate) fn cameras(data: &Path) -> anyhow::Result<Vec<CameraId>> {
    let path = cameras_path(data);
    let text = fs::read(&path)
        .with_context(|| format!("{}: `standalone demo --data ...` writes it at its start", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))
}
