//! Which messages name which files. A file goes with the last message of its owner that names it.
//!
//! Messages of others don't count, lest somebody keep what its owner has taken back. Whoever changes
//! mentions holds the files' rows, shared to add some and alone to remove some, so that a file is
//! never removed while a message that names it is being stored.

use std::collections::BTreeSet;

use chat_core::Message;
use sqlx::MySqlConnection;

use super::{
    Result,
    media::state,
    script::{List, Script, Text},
};
use crate::media;

/// The files that a message names: attached, or linked in its text.
fn named<'a>(text: &'a str, media: &'a [String]) -> BTreeSet<&'a str> {
    media::ids_in(text).chain(media.iter().filter_map(|url| media::id_of(url))).collect()
}

/// Remembers what a new message names.
pub(super) fn add(script: &mut Script, message: &Message) {
    add_some(script, message, &named(&message.text, &message.media));
}

fn add_some(script: &mut Script, message: &Message, ids: &BTreeSet<&str>) {
    let Some(owner) = message.author.user().filter(|_| !ids.is_empty()) else { return };
    let ids: Vec<_> = ids.iter().copied().map(Text).collect();
    script.add(format_args!(
        "INSERT IGNORE INTO media_mentions (media_id, conversation_id, seq) \
         SELECT id, {}, {} FROM media FORCE INDEX (PRIMARY) \
         WHERE id IN ({}) AND owner_id = {} AND state = {} ORDER BY id LOCK IN SHARE MODE",
        message.conversation.raw(),
        message.seq,
        List(&ids),
        owner.id.0,
        state::STORED,
    ));
}

/// A message that is held gets another text, or is deleted. Files that are named no more are to be
/// removed: were there any to look at?
pub(super) async fn change(
    connection: &mut MySqlConnection,
    message: &Message,
    text: Option<&str>,
) -> Result<bool> {
    let before = named(&message.text, &message.media);
    let after = text.map_or_else(BTreeSet::new, |text| named(text, &message.media));
    let mut script = Script::default();
    add_some(&mut script, message, &(&after - &before));
    let gone: Vec<_> = before.difference(&after).copied().map(Text).collect();
    if let Some(owner) = message.author.user().filter(|_| !gone.is_empty()) {
        let gone = List(&gone);
        let (owner, stored, doomed) = (owner.id.0, state::STORED, state::DOOMED);
        script.add(format_args!(
            "SELECT id FROM media FORCE INDEX (PRIMARY) \
             WHERE id IN ({gone}) AND owner_id = {owner} ORDER BY id FOR UPDATE"
        ));
        script.add(format_args!(
            "DELETE FROM media_mentions \
             WHERE media_id IN ({gone}) AND conversation_id = {} AND seq = {}",
            message.conversation.raw(),
            message.seq
        ));
        script.add(format_args!(
            "UPDATE media SET state = {doomed} \
             WHERE id IN ({gone}) AND owner_id = {owner} AND state = {stored} \
             AND NOT EXISTS (SELECT 1 FROM media_mentions n WHERE n.media_id = media.id)"
        ));
    }
    if !script.is_empty() {
        script.run(connection).await?;
    }
    Ok(!gone.is_empty())
}
