//! What people and programs read after a run: a page, the terminal's closing lines, and JSON.
//!
//! Invariant: everything comes from the [`Outcome`], so that a report can be made again from its JSON; nothing that was not
//! measured is shown as a zero, it is left out.

mod axis;
mod chart;
mod charts;
mod figures;
mod html;
mod summary;
mod tables;

pub use html::html;
pub use summary::summary;

use crate::outcome::Outcome;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is out of reach.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The outcome has no JSON form.
    #[error("the report cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Writes the reports that are asked for. A file that is there stays as it was until its successor is complete.
pub fn write(outcome: &Outcome, json: Option<&Path>, html: Option<&Path>) -> Result<(), Error> {
    if let Some(path) = json {
        replace(path, &serde_json::to_vec(outcome)?)?;
    }
    if let Some(path) = html {
        replace(path, self::html(outcome).as_bytes())?;
    }
    Ok(())
}

fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let written = fill(&part, content).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // It may not be there at all.
        let _ = std::fs::remove_file(&part);
        Error::Write { path: path.to_owned(), source }
    })
}

fn fill(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}
