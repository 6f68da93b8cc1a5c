//! What a part wrote: the newest lines are kept, and each goes on to the sink.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// How many lines of each part are kept.
const KEPT: usize = 5_000;

/// Gets every line that a part writes, together with the part's name.
pub type LogSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Lines are kept for errors and tests, and shown nowhere.
#[must_use]
pub fn silent() -> LogSink {
    Arc::new(|_, _| {})
}

/// Lines go to standard output after the part's name.
#[must_use]
pub fn terminal(colour: bool) -> LogSink {
    Arc::new(move |part, line| {
        let (on, off) = if colour { (colour_of(part), "\x1b[0m") } else { ("", "") };
        // A closed terminal is no reason to stop reading what the parts write.
        let _ = writeln!(io::stdout().lock(), "{on}{part:<13} |{off} {line}");
    })
}

/// The same colour for the same name.
fn colour_of(part: &str) -> &'static str {
    const COLOURS: [&str; 6] =
        ["\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m"];
    let sum: usize = part.bytes().map(usize::from).sum();
    COLOURS[sum % COLOURS.len()]
}

/// The newest lines of one part, over all its starts.
pub(crate) struct PartLog {
    part: String,
    /// Lines for which this is false are kept but not passed on.
    worth_showing: fn(&str) -> bool,
    lines: Mutex<VecDeque<String>>,
    sink: LogSink,
}

impl PartLog {
    pub(crate) fn new(part: &str, worth_showing: fn(&str) -> bool, sink: LogSink) -> Self {
        Self { part: part.to_owned(), worth_showing, lines: Mutex::default(), sink }
    }

    /// Reads lines until the pipe is closed.
    pub(crate) fn follow(&self, pipe: impl Read) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            self.push(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    fn push(&self, line: &str) {
        if (self.worth_showing)(line) {
            (self.sink)(&self.part, line);
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The newest `most` lines, oldest first.
    pub(crate) fn last(&self, most: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(most)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_chatter_is_not_passed_on() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink: LogSink = {
            let seen = Arc::clone(&seen);
            Arc::new(move |part, line| seen.lock().unwrap().push(format!("{part}: {line}")))
        };
        let log = PartLog::new("db", |line| !line.contains("[Note]"), sink);
        log.follow("one\n1 [Note] two\nthree".as_bytes());
        assert_eq!(log.last(2), ["1 [Note] two", "three"]);
        assert_eq!(*seen.lock().unwrap(), ["db: one", "db: three"]);
    }
}
