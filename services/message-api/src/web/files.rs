//! The web client's files, as they stood in `web/` when the program was compiled.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::{self, Write as _},
    path::Path,
};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

/// Never HTML: pages have holes to be filled.
#[derive(RustEmbed)]
#[folder = "web"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.mjs"]
#[include = "*.svg"]
#[exclude = "node_modules/*"]
struct Embedded;

/// All files, by their path in `web/`.
pub(super) struct Files {
    version: String,
    files: BTreeMap<String, File>,
}

struct File {
    bytes: Bytes,
    /// The same, packed once for all who take it so; none where that makes it no shorter.
    packed: Option<Bytes>,
    kind: &'static str,
    tag: ETag,
}

impl Files {
    /// What the program was compiled with.
    pub(super) fn embedded() -> Self {
        let mut all = Sha256::new();
        let mut files = BTreeMap::new();
        for name in Embedded::iter() {
            let file = Embedded::get(&name).and_then(|embedded| {
                all.update(name.as_bytes());
                all.update(embedded.metadata.sha256_hash());
                File::new(&name, embedded)
            });
            files.extend(file.map(|file| (name.into_owned(), file)));
        }
        Self { version: short(&all.finalize()), files }
    }

    /// Of all files together: another one as soon as any of them changes.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The file, or that the one which the client has is still good.
    pub(super) fn answer(
        &self,
        name: &str,
        caching: &'static str,
        asked: &HeaderMap,
    ) -> Option<Response> {
        let file = self.files.get(name)?;
        let has_it = asked
            .typed_get::<IfNoneMatch>()
            .is_some_and(|known| !known.precondition_passes(&file.tag));
        let mut response = match (has_it, file.packed.clone().filter(|_| takes_gzip(asked))) {
            (true, _) => StatusCode::NOT_MODIFIED.into_response(),
            (false, Some(packed)) => ([(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
            (false, None) => file.bytes.clone().into_response(),
        };
        let headers = response.headers_mut();
        if !has_it {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.typed_insert(file.tag.clone());
        Some(response)
    }
}

impl File {
    fn new(name: &str, embedded: EmbeddedFile) -> Option<Self> {
        let kind = match Path::new(name).extension()?.to_str()? {
            "css" => "text/css; charset=utf-8",
            "js" | "mjs" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => return None,
        };
        // Weak, since it is the same for the compressed file.
        let tag = format!("W/\"{}\"", short(&embedded.metadata.sha256_hash())).parse().ok()?;
        let bytes = Bytes::from_owner(embedded.data);
        let packed = pack(&bytes).ok().filter(|packed| packed.len() < bytes.len()).map(Bytes::from);
        Some(Self { bytes, packed, kind, tag })
    }
}

fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    packer.finish()
}

/// `Accept-Encoding: br, gzip;q=0.8`; one of quality 0 is not taken.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, "q=1"));
        let quality = quality.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_some_and(|quality| quality > 0.0)
    })
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("version", &self.version).finish_non_exhaustive()
    }
}

/// As much of a hash as tells files apart, in hex.
fn short(hash: &[u8]) -> String {
    hash.iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
