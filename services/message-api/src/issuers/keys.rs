//! An issuer's public keys, as a JWKS (RFC 7517) tells them. What a key is decides by which algorithm
//! its signatures are checked; a token's header only has to agree.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations,
        PublicKeyUse,
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::{LEEWAY, settings::Issuer};

/// Most keys of one issuer.
const MOST: usize = 64;
/// The sizes of RSA keys, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// A key that can be used.
pub(super) struct Key {
    id: Option<String>,
    pub(super) check: DecodingKey,
    /// With the key's own algorithm, and no other.
    pub(super) rules: Validation,
}

/// All keys of an issuer.
pub(super) struct Keys {
    keys: Vec<Key>,
    /// What is wrong with those that can't be used.
    pub(super) unusable: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Keys {
    /// The keys in a JWKS. Those that can't be used are left out; what is no JWKS, or too large a
    /// one, is an error.
    pub(super) fn parse(body: &[u8], issuer: &Issuer) -> Result<Self, String> {
        let Document { keys: listed } =
            serde_json::from_slice(body).map_err(|e| format!("it is no JWKS: {e}"))?;
        if listed.len() > MOST {
            return Err(format!("it holds {} keys, {MOST} at most", listed.len()));
        }
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for (number, listed) in (1..).zip(listed) {
            match key(listed, issuer) {
                Ok(key) => keys.push(key),
                Err(why) => unusable.push(format!("key {number}: {why}")),
            }
        }
        Ok(Self { keys, unusable })
    }

    /// How many can be used.
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// The one key by which a token with this header may be signed. `None` also where there are two.
    pub(super) fn fitting(&self, header: &Header) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            let is_named = header.kid.is_none() || header.kid == key.id;
            is_named && key.rules.algorithms.contains(&header.alg)
        });
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

fn key(listed: Value, issuer: &Issuer) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(listed).map_err(|e| e.to_string())?;
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let bits = bits(&bytes("n", &rsa.n)?);
            if !RSA_BITS.contains(&bits) {
                return Err(format!("an RSA key of {bits} bits"));
            }
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            sized("x", &point.x)?;
            sized("y", &point.y)?;
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            sized("x", &pair.x)?;
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return Err("neither RSA nor P-256 nor Ed25519".into()),
    };
    if !signs(&jwk.common, name) {
        return Err(format!("not for signatures by {name}"));
    }
    let check = DecodingKey::from_jwk(&jwk).map_err(|e| e.to_string())?;
    Ok(Key { id: jwk.common.key_id, check, rules: rules(algorithm, issuer) })
}

/// Is it meant for signatures by this algorithm? What it does not say is no objection.
fn signs(key: &CommonParameters, algorithm: KeyAlgorithm) -> bool {
    key.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        && key.key_algorithm.is_none_or(|own| own == algorithm)
        && key.key_operations.as_ref().is_none_or(|may| may.contains(&KeyOperations::Verify))
}

fn rules(algorithm: Algorithm, issuer: &Issuer) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY.as_secs();
    rules.validate_nbf = true;
    rules.set_audience(&[&issuer.audience]);
    rules.set_issuer(&[&issuer.name]);
    rules.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    rules
}

fn bytes(field: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|_| format!("`{field}` is not base64url"))
}

/// A number of 32 bytes, as both curves have them.
fn sized(field: &str, text: &str) -> Result<(), String> {
    match bytes(field, text)?.len() {
        32 => Ok(()),
        length => Err(format!("`{field}` has {length} bytes")),
    }
}

/// How long a number is, without zeros before it.
fn bits(number: &[u8]) -> usize {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let top = number.get(first).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - first) * 8 - top
}
