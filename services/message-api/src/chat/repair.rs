//! For those who hold sockets: what they missed.

use chat_core::{Change, ChatError, ConversationId, Result, Seq, chat::CHANGES_MAX};

use super::Rules;

/// Conversations whose heads can be asked for at once.
const HEADS_MAX: usize = 10_000;

impl Rules {
    pub(super) async fn changes_since(
        &self,
        conversation: ConversationId,
        since: Seq,
        limit: u32,
    ) -> Result<Vec<Change>> {
        Ok(self.store.changes(conversation, since, limit.clamp(1, CHANGES_MAX)).await?)
    }

    pub(super) async fn heads_of(
        &self,
        conversations: &[ConversationId],
    ) -> Result<Vec<(ConversationId, Seq)>> {
        if conversations.len() > HEADS_MAX {
            return Err(ChatError::invalid_payload("at most 10,000 conversations at once"));
        }
        Ok(self.store.heads(conversations).await?)
    }
}
