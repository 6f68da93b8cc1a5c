//! Opening the object store that a URL names.

use std::{fs, sync::Arc};

use object_store::{ObjectStore, aws::AmazonS3Builder, local::LocalFileSystem, path::Path};
use url::Url;

/// An object store, and the folder in it.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) objects: Arc<dyn ObjectStore>,
    folder: Path,
}

impl Place {
    /// The place of a URL: `file:///a/directory`, made if need be, or `s3://bucket/prefix`, whose
    /// credentials are read from the usual `AWS_…` variables. The error is a sentence about it.
    pub fn open(url: &str) -> Result<Self, String> {
        let parsed = Url::parse(url).map_err(|e| format!("it is not a URL: {e}"))?;
        match parsed.scheme() {
            "file" => directory(&parsed),
            "s3" => bucket(&parsed),
            other => Err(format!("it must begin with file:// or s3://, not {other}://")),
        }
    }

    /// Where the file of an id lies in it.
    pub(super) fn of(&self, id: &str) -> Path {
        self.folder.clone().join(id)
    }
}

fn directory(url: &Url) -> Result<Place, String> {
    let path = url.to_file_path().map_err(|()| "it must be file:///a/directory".to_owned())?;
    fs::create_dir_all(&path).map_err(|e| format!("can't make {}: {e}", path.display()))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|e| e.to_string())?;
    // What was answered for survives a power cut, as messages do.
    Ok(Place { objects: Arc::new(store.with_fsync(true)), folder: Path::default() })
}

fn bucket(url: &Url) -> Result<Place, String> {
    let folder = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
    let store = AmazonS3Builder::from_env().with_url(url.as_str()).build();
    Ok(Place { objects: Arc::new(store.map_err(|e| e.to_string())?), folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_no_place_is_refused_with_a_sentence() {
        for (url, expected) in [
            ("media", "not a URL"),
            ("http://localhost/media", "file:// or s3://"),
            ("file:///dev/null/media", "can't make"),
        ] {
            let sentence = Place::open(url).expect_err(url);
            assert!(sentence.contains(expected), "{url}: {sentence}");
        }
    }

    #[test]
    fn a_bucket_may_have_a_folder() {
        let place = Place::open("s3://bucket/some/folder").expect("opens");
        assert_eq!(place.of("x").as_ref(), "some/folder/x");
    }
}
