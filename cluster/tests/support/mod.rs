//! A certificate authority of a test's own, in a folder that goes with it.

use cluster::tls::{Files, Identity};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;

/// The authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("the system has randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("the parameters are whole");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a temporary folder") };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path
    }

    /// The authority's own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a name, and its key.
    pub(crate) fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names).expect("good names");
        let key = KeyPair::generate().expect("the system has randomness");
        let cert = params.signed_by(&key, &self.issuer).expect("the parameters are whole");
        (self.write(&format!("{name}.pem"), &cert.pem()), self.write(&format!("{name}.key"), &key.serialize_pem()))
    }

    /// A server's files, which ask clients for a certificate of this authority.
    pub(crate) fn mutual(&self) -> Files {
        let (cert, key) = self.issue("server");
        Files { cert, key, client_ca: Some(self.ca()) }
    }

    /// A client of this authority, who trusts the servers of `other`.
    pub(crate) fn client(&self, other: &Self) -> Identity {
        let (cert, key) = self.issue("client");
        Identity { cert, key, ca: other.ca() }
    }
}
