//! Spans of traces: made only where somebody keeps them.
//!
//! A trace begins with [`root_span!`](crate::root_span): whether it is kept is drawn there, before
//! anything is made. All that follows in it, here and in other processes, asks whether there is a
//! span: what is not kept costs a draw and a glance, allocates nothing and leaves nothing in what
//! is sent. What spans become is decided by whoever called [`keep`]: see the crate `telemetry`.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::RngExt;
#[doc(hidden)]
pub use tracing;
use tracing::Span;

/// What tells our spans from those of libraries.
pub const TARGET: &str = "switchboard::trace";

/// Nobody keeps spans.
const OFF: u64 = 0;
/// 1 more than the share of kept traces, in parts of [`ALL`].
static SHARE: AtomicU64 = AtomicU64::new(OFF);
/// All traces.
const ALL: u64 = 1 << 32;

/// From now on spans are kept: of traces that begin here this share (0 to 1), and all of those
/// that others keep.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "between 0 and 2^32"
)]
pub fn keep(share: f64) {
    SHARE.store(1 + (share.clamp(0.0, 1.0) * ALL as f64) as u64, Ordering::Relaxed);
}

/// Is anything kept at all?
#[must_use]
pub fn is_on() -> bool {
    SHARE.load(Ordering::Relaxed) != OFF
}

/// Is the trace that begins now kept?
#[must_use]
pub fn is_drawn() -> bool {
    match SHARE.load(Ordering::Relaxed) {
        OFF | 1 => false,
        share => u64::from(rand::rng().random::<u32>()) < share - 1,
    }
}

/// Are we in a trace that is kept?
#[must_use]
pub fn is_kept() -> bool {
    is_on() && !Span::current().is_none()
}

/// A span of a trace that is surely kept: `parent:` first, or the current one.
#[macro_export]
macro_rules! kept_span {
    (parent: $parent:expr, $($rest:tt)+) => {
        $crate::trace::tracing::info_span!(
            target: $crate::trace::TARGET, parent: $parent, $($rest)+
        )
    };
    ($($rest:tt)+) => {
        $crate::trace::tracing::info_span!(target: $crate::trace::TARGET, $($rest)+)
    };
}

/// The first span of a trace, or none where the draw says so.
#[macro_export]
macro_rules! root_span {
    ($($rest:tt)+) => {
        if $crate::trace::is_drawn() {
            $crate::kept_span!(parent: None, $($rest)+)
        } else {
            $crate::trace::tracing::Span::none()
        }
    };
}

/// A span within the current one, or none where there is none.
#[macro_export]
macro_rules! child_span {
    ($($rest:tt)+) => {
        if $crate::trace::is_kept() {
            $crate::kept_span!($($rest)+)
        } else {
            $crate::trace::tracing::Span::none()
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draw_keeps_the_share() {
        assert!(!is_on() && !is_drawn(), "off until somebody keeps spans");
        keep(0.0);
        assert!(is_on() && (0..10_000).all(|_| !is_drawn()));
        keep(1.0);
        assert!((0..10_000).all(|_| is_drawn()));
        keep(0.25);
        let kept = (0..40_000).filter(|_| is_drawn()).count();
        assert!((9_000..11_000).contains(&kept), "{kept} of 40,000 at a quarter");
        assert!(child_span!("child").is_none(), "nothing is a child of nothing");
    }
}
