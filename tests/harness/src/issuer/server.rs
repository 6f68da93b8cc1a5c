//! The server that tells an issuer's keys, or something worse.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use chat_core::process::Shutdown;
use local_stack::Identity;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::SigningKey;

/// What it answers.
#[derive(Clone, Debug)]
pub enum Serves {
    /// This body, as JSON.
    Body(String),
    /// Nothing but a status.
    Status(u16),
    /// A redirect to there.
    Redirect(String),
    /// A body without an end.
    Endless,
    /// Nothing at all.
    Silence,
}

impl Serves {
    /// A JWKS of these keys.
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self::entries(keys.into_iter().map(SigningKey::jwk).collect())
    }

    /// A JWKS of whatever this is.
    #[must_use]
    pub fn entries(keys: Vec<Value>) -> Self {
        Self::Body(json!({ "keys": keys }).to_string())
    }
}

/// A running server. It ends with the value.
#[derive(Debug)]
pub struct Server {
    at: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    tasks: Shutdown,
}

#[derive(Debug)]
struct Shared {
    serves: Mutex<Serves>,
    asked: AtomicU64,
    written: AtomicU64,
}

impl Server {
    /// On a port of its own.
    pub async fn start(serves: Serves) -> Result<Self> {
        Self::run(serves, None).await
    }

    /// The same by HTTPS, with this certificate.
    pub async fn start_with_tls(serves: Serves, identity: &Identity) -> Result<Self> {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let tls = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Self::run(serves, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn run(serves: Serves, tls: Option<TlsAcceptor>) -> Result<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (at, tasks) = (listener.local_addr()?, Shutdown::new());
        let (asked, written) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { serves: Mutex::new(serves), asked, written });
        let (mine, spawner) = (Arc::clone(&shared), tasks.clone());
        tasks.spawn_until_stopped(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&mine), tls.clone());
                spawner.spawn_until_stopped(async move {
                    // Who asked may have gone, or not trust us.
                    let _ = match tls {
                        None => shared.answer(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => shared.answer(stream).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        Ok(Self { at, scheme, shared, tasks })
    }

    /// Where the keys are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/keys", self.scheme, self.at)
    }

    /// From now on.
    pub fn serves(&self, serves: Serves) {
        *self.shared.serves.lock().unwrap_or_else(PoisonError::into_inner) = serves;
    }

    /// How often it was asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// How many bytes of endless bodies were taken from it.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.begin();
    }
}

impl Shared {
    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let (mut head, mut piece) = (Vec::new(), [0; 1_024]);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece).await? {
                0 => return Ok(()),
                length => head.extend_from_slice(&piece[..length]),
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let serves = self.serves.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let head = |status: u16, more: &str| {
            format!("HTTP/1.1 {status} so\r\nconnection: close\r\n{more}\r\n")
        };
        let text = match serves {
            Serves::Body(body) => {
                let more = "content-type: application/json\r\ncontent-length";
                head(200, &format!("{more}: {}\r\n", body.len())) + &body
            }
            Serves::Status(status) => head(status, "content-length: 0\r\n"),
            Serves::Redirect(to) => head(302, &format!("location: {to}\r\ncontent-length: 0\r\n")),
            Serves::Silence => std::future::pending().await,
            Serves::Endless => {
                stream.write_all(head(200, "").as_bytes()).await?;
                let piece = [b' '; 16_384];
                loop {
                    stream.write_all(&piece).await?;
                    self.written.fetch_add(piece.len() as u64, Ordering::SeqCst);
                }
            }
        };
        stream.write_all(text.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}
