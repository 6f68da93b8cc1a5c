//! Keys that sign tokens.

use std::{fmt, sync::Arc};

use anyhow::{Result, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::{unsigned, with};

/// A private key, and what it is called.
#[derive(Clone)]
pub struct SigningKey {
    kid: Option<String>,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    P256(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.algorithm(), self.kid)
    }
}

impl SigningKey {
    /// RSA of 2048 bits.
    pub fn rs256(kid: &str) -> Result<Self> {
        Self::made(kid, RsaKeyPair::generate(KeySize::Rsa2048).map(Arc::new).map(Pair::Rsa))
    }

    /// On the curve P-256.
    pub fn es256(kid: &str) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::made(kid, pair.map(Arc::new).map(Pair::P256))
    }

    /// Ed25519.
    pub fn ed25519(kid: &str) -> Result<Self> {
        Self::made(kid, Ed25519KeyPair::generate().map(Arc::new).map(Pair::Ed25519))
    }

    fn made<E>(kid: &str, pair: Result<Pair, E>) -> Result<Self> {
        let pair = pair.map_err(|_| anyhow!("no key"))?;
        Ok(Self { kid: Some(kid.to_owned()), pair })
    }

    /// The same key under another name, or under none.
    #[must_use]
    pub fn called(&self, kid: Option<&str>) -> Self {
        Self { kid: kid.map(str::to_owned), pair: self.pair.clone() }
    }

    /// How `alg` says it.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public half, as it stands in a JWKS.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        let key = match &self.pair {
            Pair::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e)})
            }
            Pair::P256(pair) => {
                // After the byte that says that both coordinates follow.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        let key = with(key, "alg", json!(self.algorithm()));
        with(with(key, "use", json!("sig")), "kid", json!(self.kid))
    }

    /// The public half as bytes, for those who take it for a secret.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A header that says the truth.
    #[must_use]
    pub fn header(&self) -> Value {
        with(json!({"alg": self.algorithm(), "typ": "JWT"}), "kid", json!(self.kid))
    }

    /// A token that says this.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_headed(&self.header(), claims)
    }

    /// The same under a header of any kind.
    pub fn token_headed(&self, header: &Value, claims: &Value) -> Result<String> {
        let signed = unsigned(header, claims);
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                    .map_err(|_| anyhow!("RSA does not sign"))?;
                Ok(signature)
            }
            Pair::P256(pair) => {
                let signature = pair.sign(&random, text).map_err(|_| anyhow!("P-256"))?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        }
    }
}
