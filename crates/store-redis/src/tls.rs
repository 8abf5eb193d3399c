//! Who must have signed a server's certificate.

use std::{fs, path::Path};

use milepost_core::{Error, ErrorKind, Result};
use redis::{Client, ConnectionInfo, TlsCertificates};
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// The same servers, trusted if one of the certificates in the file has signed theirs.
///
/// # Errors
///
/// `Config`: the file cannot be read, or is none of certificates.
pub(crate) fn trusting(root: &Path, infos: Vec<ConnectionInfo>) -> Result<Vec<ConnectionInfo>> {
    let refused =
        |what: &str| Error::new(ErrorKind::Config, format!("sslrootcert: {}: {what}", root.display()));
    let pem = fs::read(root).map_err(|error| refused("cannot be read").with_source(error))?;
    // The driver would take none as a list on which nobody stands.
    if !matches!(CertificateDer::pem_slice_iter(&pem).next(), Some(Ok(_))) {
        return Err(refused("no certificate in PEM"));
    }
    let trusting = |info: ConnectionInfo| {
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
        let client = Client::build_with_tls(info, certificates);
        let client = client
            .map_err(|error| refused("not all are certificates in PEM").with_source(error.to_string()))?;
        Ok(client.get_connection_info().clone())
    };
    infos.into_iter().map(trusting).collect()
}
