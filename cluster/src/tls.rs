//! The one room that sees `rustls`: certificates from PEM files into server and client configurations. Invariant: TLS
//! 1.2 or 1.3 on the ring provider, named here and never taken from a process-wide default.

pub use rustls::{ClientConfig, ServerConfig};

use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A server's certificate. PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// CA of the clients: with it, a client without a certificate of this CA is refused (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// A client's identity among our services. PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Certificate chain, the client's own first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// CA of the servers that are trusted.
    pub ca: PathBuf,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not PEM of the kind it should be.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate, key and CA do not make a working configuration.
    #[error("{path}: certificate and key cannot be used: {reason}")]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A server's configuration: mutual TLS when a client CA is given.
pub fn server(files: &Files) -> Result<ServerConfig, Error> {
    let provider = provider();
    let unusable = |e: &dyn std::fmt::Display| Error::Unusable { path: files.cert.clone(), reason: e.to_string() };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|e| unusable(&e))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| unusable(&e))?)
        }
    };
    let config = builder.with_single_cert(chain(&files.cert)?, key(&files.key)?);
    let mut config = config.map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client's configuration: with an identity, it shows its certificate and trusts that CA; without one, it trusts
/// nobody, and so can speak plain HTTP only.
pub fn client(identity: Option<&Identity>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the ring provider has cipher suites for TLS 1.2 and 1.3");
    let Some(identity) = identity else {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    };
    let config = builder
        .with_root_certificates(roots(&identity.ca)?)
        .with_client_auth_cert(chain(&identity.cert)?, key(&identity.key)?);
    config.map_err(|e| Error::Unusable { path: identity.cert.clone(), reason: e.to_string() })
}

/// A configuration for servers that strangers reach too: trusts the web's authorities, and those of a PEM file.
pub fn public_client(ca: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut trusted = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(ca) = ca {
        trusted.roots.extend(roots(ca)?.roots);
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .expect("the ring provider has cipher suites for TLS 1.2 and 1.3");
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn file_error(path: &Path, e: &pem::Error) -> Error {
    Error::File { path: path.into(), reason: e.to_string() }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certs = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|e| file_error(path, &e))?;
    if certs.is_empty() {
        return Err(Error::File { path: path.into(), reason: "holds no certificate in PEM form".into() });
    }
    Ok(certs)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| file_error(path, &e))
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for cert in chain(path)? {
        roots.add(cert).map_err(|e| Error::File { path: path.into(), reason: e.to_string() })?;
    }
    Ok(roots)
}
