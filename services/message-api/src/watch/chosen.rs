//! Watching some conversations: their heads against the seqs that were told.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::{Change, ChatError, Code, ConversationId, Result, Seq};

use super::{
    PAGE,
    cursor::{Cursor, refused},
};
use crate::store::Store;

#[derive(Debug)]
pub(super) struct Chosen {
    told: BTreeMap<ConversationId, Seq>,
    /// Who comes first at the next read, so that a busy one does not hold up the others.
    first: usize,
}

impl Chosen {
    pub(super) async fn begin(
        store: &Store,
        chosen: BTreeSet<ConversationId>,
        cursor: Option<Cursor>,
        from_now: bool,
    ) -> Result<Self> {
        let ids: Vec<_> = chosen.iter().copied().collect();
        let heads: BTreeMap<_, _> = store.heads(&ids).await?.into_iter().collect();
        if let Some(unknown) = chosen.iter().find(|id| !heads.contains_key(id)) {
            let sentence = format!("there is no conversation {unknown}");
            return Err(ChatError::new(Code::NotFound, sentence).of_field("conversation_ids"));
        }
        let told = match cursor {
            Some(Cursor::Some(told)) if told.keys().eq(&chosen) => told,
            Some(_) => return Err(refused("this cursor is of other conversations")),
            None if from_now => heads.clone(),
            None => heads.keys().map(|id| (*id, Seq::START)).collect(),
        };
        if told.iter().any(|(id, seq)| heads.get(id).is_none_or(|head| seq > head)) {
            return Err(refused("this cursor is ahead of the database"));
        }
        Ok(Self { told, first: 0 })
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor::Some(self.told.clone())
    }

    /// The next changes, if there are any.
    pub(super) async fn read(&mut self, store: &Store) -> Result<Vec<Change>> {
        let ids: Vec<_> = self.told.keys().copied().collect();
        let mut heads = store.heads(&ids).await?;
        heads.sort_unstable();
        let (first, count) = (self.first, heads.len().max(1));
        heads.rotate_left(first % count);
        let mut page: Vec<Change> = Vec::new();
        for (after, (id, head)) in (first + 1..).zip(heads) {
            let Some(told) = self.told.get_mut(&id).filter(|told| **told < head) else { continue };
            let until = head.min(Seq(told.0 + PAGE.saturating_sub(page.len() as u64)));
            page.extend(store.changes_between(id, *told, until).await?);
            *told = until;
            if page.len() as u64 >= PAGE {
                self.first = after % count;
                break;
            }
        }
        Ok(page)
    }
}
