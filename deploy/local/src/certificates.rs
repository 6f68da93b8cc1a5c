//! Certificates for one machine and one run.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

/// Who vouches for servers; trusted by nobody who was not told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server shows, and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = called("an authority for one run");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host name or an address, and its key, in PEM.
    pub fn vouch_for(&self, host: &str) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &self.0)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

impl Identity {
    /// One for a host name or an address that this authority vouches for.
    pub fn of(host: &str, authority: &Authority) -> Result<Self> {
        let (certificate, key) = authority.vouch_for(host)?;
        Ok(Self { certificate, key })
    }
}

/// OpenSSL takes a certificate for its issuer's when both are called the same.
fn called(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
