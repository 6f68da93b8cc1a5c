//! The certificates that the gateway and message-api know each other by.

use std::{error::Error, path::Path};

use chat_core::process::{read_certificates, read_key};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Where they are.
#[derive(Clone, Copy, Debug)]
pub struct TlsFiles<'a> {
    /// MESSAGE_API_CA_FILE.
    pub ca: Option<&'a Path>,
    /// MESSAGE_API_CERT_FILE.
    pub cert: Option<&'a Path>,
    /// MESSAGE_API_KEY_FILE.
    pub key: Option<&'a Path>,
}

impl TlsFiles<'_> {
    /// Reads them for these MESSAGE_API_GRPC_URL; none for `http://`. The error is one sentence that
    /// names the setting.
    pub fn read(&self, urls: &[String]) -> Result<Option<ClientTlsConfig>, String> {
        let Self { ca, cert, key } = *self;
        let is_tls = |url: &String| url.trim().starts_with("https://");
        if !urls.iter().any(is_tls) {
            return match ca.or(cert).or(key) {
                None => Ok(None),
                Some(_) => Err("MESSAGE_API_GRPC_URL must begin with https:// where \
                                MESSAGE_API_CA_FILE, MESSAGE_API_CERT_FILE or MESSAGE_API_KEY_FILE \
                                is set"
                    .into()),
            };
        }
        if !urls.iter().all(is_tls) {
            return Err("MESSAGE_API_GRPC_URL has both http:// and https://".into());
        }
        let ca = ca.ok_or("MESSAGE_API_CA_FILE must be set for https://")?;
        let ca = Certificate::from_pem(read_certificates("MESSAGE_API_CA_FILE", ca)?);
        let tls = ClientTlsConfig::new().ca_certificate(ca);
        let tls = match (cert, key) {
            (None, None) => tls,
            (Some(cert), Some(key)) => tls.identity(Identity::from_pem(
                read_certificates("MESSAGE_API_CERT_FILE", cert)?,
                read_key("MESSAGE_API_KEY_FILE", key)?,
            )),
            (None, Some(_)) => return Err("MESSAGE_API_CERT_FILE must be set too".into()),
            (Some(_), None) => return Err("MESSAGE_API_KEY_FILE must be set too".into()),
        };
        // Do they fit together?
        Endpoint::from_static("https://localhost").tls_config(tls.clone()).map_err(|e| {
            let cause = e.source().map_or_else(String::new, |cause| format!(": {cause}"));
            format!("MESSAGE_API_KEY_FILE and MESSAGE_API_CERT_FILE can't be used{cause}")
        })?;
        Ok(Some(tls))
    }
}
