//! A file whose content may change while the process runs, as mounted secrets do.

use std::{path::PathBuf, time::Duration};

use tokio::time::sleep;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Reads a file again and again. What is new in it is handed to `take`, which may refuse it by a
/// sentence: then, as when the file can't be read, what was taken last stays. A failure is logged
/// once; `stale` hears of each look whether what was taken last is not what the file says. `setting`
/// names the file in logs, `taken` is the content that was taken at the start, without white space
/// at its end.
pub async fn follow_file(
    setting: &'static str,
    path: PathBuf,
    taken: String,
    take: impl Fn(&str) -> Result<(), String>,
    stale: impl Fn(bool),
) {
    let (mut seen, mut failed) = (Ok(taken), false);
    loop {
        stale(failed);
        sleep(EVERY).await;
        let read = tokio::fs::read_to_string(&path).await;
        let read = read
            .map(|text| text.trim_end().to_owned())
            .map_err(|e| format!("can't read {}: {e}", path.display()));
        if read == seen {
            continue;
        }
        let outcome = read.as_deref().map_err(Clone::clone).and_then(&take);
        failed = outcome.is_err();
        match outcome {
            Ok(()) => tracing::info!(setting, "read again"),
            Err(cause) => tracing::error!(setting, cause, "what was read before stays"),
        }
        seen = read;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn what_can_not_be_taken_leaves_the_last_good() {
        let path = std::env::temp_dir().join(format!("follow-{}", std::process::id()));
        std::fs::write(&path, "one").expect("writes");
        let heard = Arc::new(Mutex::new((vec!["one".to_owned()], false)));
        let (mine, gauge) = (Arc::clone(&heard), Arc::clone(&heard));
        let take = move |text: &str| match text {
            "bad" => Err("it is bad".to_owned()),
            good => {
                mine.lock().expect("a lock").0.push(good.to_owned());
                Ok(())
            }
        };
        let stale = move |is_stale| gauge.lock().expect("a lock").1 = is_stale;
        let following = follow_file("X_FILE", path.clone(), "one".into(), take, stale);
        let scene = async {
            for (text, expected) in [
                (Some("two"), (vec!["one", "two"], false)),
                (Some("bad"), (vec!["one", "two"], true)),
                (Some("three"), (vec!["one", "two", "three"], false)),
                (None, (vec!["one", "two", "three"], true)),
                // The same as before it was away is taken once more: nothing is lost by that.
                (Some("three"), (vec!["one", "two", "three", "three"], false)),
            ] {
                match text {
                    Some(text) => std::fs::write(&path, text).expect("writes"),
                    None => std::fs::remove_file(&path).expect("removes"),
                }
                loop {
                    let (texts, is_stale) = heard.lock().expect("a lock").clone();
                    if (texts.iter().map(String::as_str).collect(), is_stale) == expected {
                        break;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::select! {
            () = following => unreachable!("it never ends"),
            done = tokio::time::timeout(Duration::from_secs(30), scene) => done.expect("in time"),
        }
        std::fs::remove_file(&path).expect("removes");
    }
}
