//! What one socket says, one thing after the other: what goes to one conversation in a row goes
//! there together.

use chat_core::{Caller, Message, Result, model::NewMessage};
use serde_json::Value;

use crate::socket::Client;

/// What somebody says.
pub(crate) struct Line {
    pub(crate) who: Caller,
    pub(crate) message: NewMessage,
}

/// Posts each that is not refused already, and words what became of it. The answers are in the
/// order of the lines.
pub(crate) async fn post(
    client: &Client,
    lines: Vec<Result<Line>>,
    acknowledge: impl Fn(&Message) -> Result<Value>,
) -> Vec<Result<Value>> {
    let mut answers = Vec::with_capacity(lines.len());
    let mut lines = lines.into_iter().peekable();
    while let Some(first) = lines.next() {
        let Line { who, message } = match first {
            Ok(line) => line,
            Err(refusal) => {
                answers.push(Err(refusal));
                continue;
            }
        };
        let place = message.conversation;
        let goes_along = |next: &Result<Line>| {
            next.as_ref().is_ok_and(|next| next.message.conversation == place && next.who == who)
        };
        let mut run = vec![message];
        while let Some(Ok(next)) = lines.next_if(goes_along) {
            run.push(next.message);
        }
        let posted = client.ports.chat.post_run(&who, run, Some(client.key)).await;
        answers.extend(posted.into_iter().map(|message| acknowledge(&message?)));
    }
    answers
}
