//! The certificates of gRPC.

use std::{path::Path, sync::Arc};

use chat_core::process::{read_certificates, read_key};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// What is spoken over it.
const ALPN: &[u8] = b"h2";

/// From GRPC_TLS_CERT_FILE, GRPC_TLS_KEY_FILE and GRPC_TLS_CLIENT_CA_FILE; none without them. The
/// error is one sentence that names the setting.
pub fn tls(
    cert: Option<&Path>,
    key: Option<&Path>,
    client_ca: Option<&Path>,
) -> Result<Option<Arc<ServerConfig>>, String> {
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) if client_ca.is_none() => return Ok(None),
        (None, _) => return Err("GRPC_TLS_CERT_FILE must be set too".into()),
        (Some(_), None) => return Err("GRPC_TLS_KEY_FILE must be set too".into()),
    };
    let cert = read_certificates("GRPC_TLS_CERT_FILE", cert)?;
    let key = read_key("GRPC_TLS_KEY_FILE", key)?;
    let client_ca = match client_ca {
        Some(path) => Some(read_certificates("GRPC_TLS_CLIENT_CA_FILE", path)?),
        None => None,
    };
    let roots = client_ca
        .map(|pem| roots(&pem).map_err(|e| format!("GRPC_TLS_CLIENT_CA_FILE can't be used: {e}")))
        .transpose()?;
    let config = config(&cert, &key, roots)
        .map_err(|e| format!("GRPC_TLS_KEY_FILE and GRPC_TLS_CERT_FILE can't be used: {e}"))?;
    Ok(Some(Arc::new(config)))
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn certificates(pem: &[u8]) -> Outcome<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?)
}

fn roots(pem: &[u8]) -> Outcome<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// The error says whether certificate and key fit together.
fn config(cert: &[u8], key: &[u8], client_roots: Option<RootCertStore>) -> Outcome<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match client_roots {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?,
        ),
    };
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let mut config = builder.with_single_cert(certificates(cert)?, key)?;
    config.alpn_protocols.push(ALPN.into());
    Ok(config)
}
