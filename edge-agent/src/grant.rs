//! The publish grant that the agent shows to signaling, and its renewals.

use crate::config::{Config, Token};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use tokio::{io::AsyncWriteExt, sync::watch};

/// Holds the current grant: in memory, or in a file that others may renew too.
#[derive(Debug)]
pub struct Keeper {
    token: Mutex<Option<Token>>,
    file: Option<PathBuf>,
    /// How often it was renewed.
    renewals: watch::Sender<u64>,
}

/// The grant's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("grant file {}: {source}", file.display())]
pub struct Unavailable {
    file: PathBuf,
    source: io::Error,
}

impl Keeper {
    /// The grant that the configuration names.
    pub fn new(config: &Config) -> Self {
        Self {
            token: Mutex::new(config.grant.clone()),
            file: config.grant_file.clone(),
            renewals: watch::Sender::new(0),
        }
    }

    /// The grant to show now. A file is read anew each time, so that an operator can replace it under a running agent; a
    /// renewed grant that could not be written to it, and lasts longer, comes before it.
    pub async fn current(&self) -> Result<Token, Unavailable> {
        if let Some(file) = &self.file {
            let filed = match tokio::fs::read_to_string(file).await {
                Ok(text) => Token::from(text.trim().to_owned()),
                Err(source) => {
                    return self.remembered().ok_or_else(|| Unavailable { file: file.clone(), source });
                }
            };
            let longer = self.remembered().filter(|token| end_of(token) > end_of(&filed));
            return Ok(longer.unwrap_or(filed));
        }
        self.remembered().ok_or_else(|| Unavailable { file: PathBuf::new(), source: io::ErrorKind::NotFound.into() })
    }

    /// Takes a renewed grant. It is in use even if it cannot be written to its file.
    pub async fn renew(&self, token: Token) -> Result<(), Unavailable> {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        let written = match &self.file {
            Some(file) => {
                replace(file, token.secret()).await.map_err(|source| Unavailable { file: file.clone(), source })
            }
            None => Ok(()),
        };
        self.renewals.send_modify(|n| *n += 1);
        written
    }

    /// Tells of renewals.
    pub fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    fn remembered(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// When a grant ends, in Unix seconds, as its claim `exp` says (RFC 7519, section 4.1.4). Whether it is authentic is for
/// others to check; here it tells when to come back.
pub fn end_of(grant: &Token) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let payload = grant.secret().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(claims.exp)
}

/// Replaces a file in one step, readable by its owner only.
async fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let mut options = tokio::fs::OpenOptions::new();
    let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&new).await?;
    written.write_all(text.as_bytes()).await?;
    written.sync_all().await?;
    tokio::fs::rename(&new, file).await
}
