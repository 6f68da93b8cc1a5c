//! Certificates and keys, read from PEM files that settings name.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A PEM file with one certificate at least. The error is one sentence that names the setting.
pub fn read_certificates(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    let pem = read(setting, path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        Ok(_) => Err(format!("{setting}: {} holds no PEM certificate", path.display())),
        Err(e) => Err(format!("{setting}: {} is not PEM: {e}", path.display())),
    }
}

/// A PEM file with a private key. The error is one sentence that names the setting.
pub fn read_key(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    let pem = read(setting, path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(e) => Err(format!("{setting}: {} holds no PEM private key: {e}", path.display())),
    }
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{setting}: can't read {}: {e}", path.display()))
}
