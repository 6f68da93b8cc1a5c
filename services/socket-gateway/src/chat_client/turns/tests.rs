//! Who waits for whom, and until when.

use std::pin::pin;

use futures_util::{FutureExt, future::join_all};

use super::*;

fn join() -> Lane {
    Lane::Joins(CancellationToken::new())
}

fn late() -> Instant {
    Instant::now() + PATIENCE
}

fn serving() -> watch::Sender<State> {
    watch::Sender::new(State::Serving)
}

#[tokio::test]
async fn turns_come_in_the_order_of_arrival() {
    let (turns, state) = (Turns::new(1), serving());
    let under_way = turns.take(&Lane::Others, late(), state.subscribe()).await;
    let order = std::sync::Mutex::new(Vec::new());
    let waiting = (0..20).map(async |number| {
        let _turn = turns.take(&Lane::Others, late(), state.subscribe()).await.expect("a turn");
        order.lock().expect("nobody panicked").push(number);
        tokio::task::yield_now().await;
    });
    let mut waiting = pin!(join_all(waiting.map(Box::pin)));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(turns.waiting(), 20);
    drop(under_way);
    waiting.await;
    assert_eq!(*order.lock().expect("nobody panicked"), (0..20).collect::<Vec<_>>());
    assert_eq!(turns.waiting(), 0);
}

#[tokio::test]
async fn joins_leave_turns_to_others() {
    let (turns, state, lane) = (Turns::new(4), serving(), join());
    let joins = join_all((0..3).map(|_| turns.take(&lane, late(), state.subscribe()))).await;
    assert!(joins.iter().all(Result::is_ok));
    let mut fourth = pin!(turns.take(&lane, late(), state.subscribe()));
    assert!(fourth.as_mut().now_or_never().is_none(), "it waits");
    let other = turns.take(&Lane::Others, late(), state.subscribe()).now_or_never();
    let other = other.expect("at once").expect("a turn");
    drop(joins);
    fourth.await.expect("a turn");
    drop(other);
}

#[tokio::test]
async fn others_leave_turns_to_joins() {
    let (turns, state, lane) = (Turns::new(1), serving(), join());
    let under_way = turns.take(&Lane::Others, late(), state.subscribe()).await;
    let mut joining = pin!(turns.take(&lane, late(), state.subscribe()));
    let mut later = pin!(turns.take(&Lane::Others, late(), state.subscribe()));
    assert!(joining.as_mut().now_or_never().is_none());
    assert!(later.as_mut().now_or_never().is_none());
    drop(under_way);
    assert!(later.as_mut().now_or_never().is_none(), "it came after the join");
    joining.await.expect("a turn");
    later.await.expect("a turn");
}

#[tokio::test]
async fn who_goes_leaves_the_queue() {
    let (turns, state) = (Turns::new(1), serving());
    let under_way = turns.take(&Lane::Others, late(), state.subscribe()).await;
    let gone = CancellationToken::new();
    let lane = for_socket(gone.clone(), async { Lane::of_join() }).await;
    let mut first = pin!(turns.take(&lane, late(), state.subscribe()));
    {
        let mut dropped = pin!(turns.take(&lane, late(), state.subscribe()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(dropped.as_mut().now_or_never().is_none());
        assert_eq!(turns.waiting(), 2);
    }
    assert_eq!(turns.waiting(), 1);
    gone.cancel();
    assert!(matches!(first.await, Err(NoTurn::Refused(_))));
    assert_eq!(turns.waiting(), 0);
    drop(under_way);
    turns.take(&join(), late(), state.subscribe()).await.expect("the turn is free again");
}

#[tokio::test]
async fn who_is_being_let_in_does_not_wait_with_those_who_join() {
    assert!(matches!(Lane::of_join(), Lane::Others));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (turns, state, lane) = (Turns::with_queue(1, 1), serving(), join());
    let _under_way = turns.take(&lane, late(), state.subscribe()).await;
    let mut waiting = pin!(turns.take(&lane, late(), state.subscribe()));
    assert!(waiting.as_mut().now_or_never().is_none());
    let refused = turns.take(&lane, late(), state.subscribe()).now_or_never();
    assert!(matches!(refused, Some(Err(NoTurn::Refused(_)))));
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let (turns, state, lane) = (Turns::new(1), serving(), join());
    let _under_way = turns.take(&lane, late(), state.subscribe()).await;
    let refused = turns.take(&lane, Instant::now(), state.subscribe()).await;
    assert!(matches!(refused, Err(NoTurn::Refused(_))));
    state.send_replace(State::Ailing);
    let began = Instant::now();
    let refused = turns.take(&lane, late(), state.subscribe()).await;
    assert!(matches!(refused, Err(NoTurn::Refused(_))));
    assert!(began.elapsed() < PATIENCE / 4, "one that is not ready is not waited for long");
}

#[tokio::test]
async fn who_waits_looks_again_as_soon_as_the_replica_changes() {
    for change in [State::Ailing, State::Gone, State::Silent] {
        let (turns, state, lane) = (Turns::new(1), serving(), join());
        let _under_way = turns.take(&lane, late(), state.subscribe()).await;
        let mut waiting = pin!(turns.take(&lane, late(), state.subscribe()));
        assert!(waiting.as_mut().now_or_never().is_none());
        state.send_replace(change);
        assert_eq!(waiting.await.err(), Some(NoTurn::Changed));
    }
}

#[tokio::test]
async fn the_clock_stands_still_during_a_wait() {
    let (turns, state, lane) = (Turns::new(1), serving(), join());
    let under_way = turns.take(&lane, late(), state.subscribe()).await;
    let mut clock = Clock::start();
    let began = clock.began();
    {
        let mut waiting = pin!(clock.turn(&turns, &lane, state.subscribe()));
        assert!(waiting.as_mut().now_or_never().is_none());
        let free = Instant::now() + Duration::from_millis(10);
        sleep_until(free).await;
        drop(under_way);
        waiting.await.expect("a turn");
    }
    assert!(clock.began() - began >= Duration::from_millis(10));
    assert_eq!(clock.began() - began, clock.waited);
}
