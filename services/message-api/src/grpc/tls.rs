//! The certificates of gRPC.

use std::{error::Error, path::Path, time::Duration};

use chat_core::process::{read_certificates, read_key};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// How long a caller may take to show its certificate.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// From GRPC_TLS_CERT_FILE, GRPC_TLS_KEY_FILE and GRPC_TLS_CLIENT_CA_FILE; none without them. The
/// error is one sentence that names the setting.
pub fn tls(
    cert: Option<&Path>,
    key: Option<&Path>,
    client_ca: Option<&Path>,
) -> Result<Option<ServerTlsConfig>, String> {
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) if client_ca.is_none() => return Ok(None),
        (None, _) => return Err("GRPC_TLS_CERT_FILE must be set too".into()),
        (Some(_), None) => return Err("GRPC_TLS_KEY_FILE must be set too".into()),
    };
    let cert = read_certificates("GRPC_TLS_CERT_FILE", cert)?;
    let key = read_key("GRPC_TLS_KEY_FILE", key)?;
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key)).timeout(HANDSHAKE);
    if let Some(path) = client_ca {
        let ca = read_certificates("GRPC_TLS_CLIENT_CA_FILE", path)?;
        tls = tls.client_ca_root(Certificate::from_pem(ca));
    }
    // Do they fit together?
    Server::builder().tls_config(tls.clone()).map_err(|e| {
        let cause = e.source().map_or_else(String::new, |cause| format!(": {cause}"));
        format!("GRPC_TLS_KEY_FILE and GRPC_TLS_CERT_FILE can't be used{cause}")
    })?;
    Ok(Some(tls))
}
