//! Opening the object store that a URL names.

use std::{fs, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use object_store::{
    Error, GetResult, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path,
};
use url::Url;

/// An object store, and the folder in it.
#[derive(Clone, Debug)]
pub struct Place {
    objects: Arc<dyn ObjectStore>,
    folder: Path,
    directory: Option<PathBuf>,
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

    /// Stores a file.
    pub(super) async fn put(&self, id: &str, content: Bytes) -> object_store::Result<()> {
        self.objects.put(&self.of(id), content.into()).await.map(drop)
    }

    /// Begins to read a file.
    pub(super) async fn get(&self, id: &str) -> object_store::Result<GetResult> {
        self.objects.get(&self.of(id)).await
    }

    /// Removes a file, or what there is of it.
    pub(super) async fn remove(&self, id: &str) -> object_store::Result<()> {
        if let Some(directory) = &self.directory {
            // What is written first, under a name that can't be an id: a crash leaves it there.
            let half = directory.join(format!("{id}#1"));
            match tokio::fs::remove_file(half).await {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Generic { store: "directory", source: cause.into() });
                }
                _ => {}
            }
        }
        match self.objects.delete(&self.of(id)).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Where the file of an id lies in it.
    fn of(&self, id: &str) -> Path {
        self.folder.clone().join(id)
    }
}

fn directory(url: &Url) -> Result<Place, String> {
    let path = url.to_file_path().map_err(|()| "it must be file:///a/directory".to_owned())?;
    fs::create_dir_all(&path).map_err(|e| format!("can't make {}: {e}", path.display()))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|e| e.to_string())?;
    // What was answered for survives a power cut, as messages do.
    Ok(Place {
        objects: Arc::new(store.with_fsync(true)),
        folder: Path::default(),
        directory: Some(path),
    })
}

fn bucket(url: &Url) -> Result<Place, String> {
    let folder = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
    let store = AmazonS3Builder::from_env().with_url(url.as_str()).build();
    let objects = Arc::new(store.map_err(|e| e.to_string())?);
    Ok(Place { objects, folder, directory: None })
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
