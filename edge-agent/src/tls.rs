//! What the agent trusts when it speaks TLS: the web's certificate authorities, and the operator's own.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// The `ca_file` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("ca_file: {0}")]
pub struct InvalidAuthority(String);

/// TLS for a client that trusts the web's authorities and those of a PEM file.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, InvalidAuthority> {
    let invalid = |e: &dyn std::fmt::Display| InvalidAuthority(e.to_string());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca_file {
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| invalid(&e))? {
            roots.add(certificate.map_err(|e| invalid(&e))?).map_err(|e| invalid(&e))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
