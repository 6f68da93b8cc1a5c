//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the system allows: what a container is given at first is often
/// 1024, a socket each. Answers how many that is; `None` is no limit.
pub fn open_as_many_files_as_allowed() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(cause) => {
            tracing::warn!(%cause, "can't raise the limit of open files");
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_highest_that_is_allowed() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(256), maximum };
        setrlimit(Resource::Nofile, low).expect("a lower limit is allowed");
        assert_eq!(open_as_many_files_as_allowed(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
