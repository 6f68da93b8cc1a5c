//! What has been read, in directs.

use chat_core::{
    Author, Caller, ChangeKind, ChatError, Code, ConversationId, MessageId, Result, clock,
    rights::Verb,
};
use time::OffsetDateTime;

use super::{Rules, peers};

impl Rules {
    pub(super) async fn read_message(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let (message, kind) = self.readable_message(caller, id).await?;
        let (Some(_), Some(reader), Author::User(author)) =
            (peers(&kind), caller.user(), &message.author)
        else {
            return Err(not_the_recipient());
        };
        if author.id == reader.id {
            return Err(not_the_recipient());
        }
        if message.is_read {
            return Ok(());
        }
        if let Some(seq) = self.store.mark_read(&message, reader).await? {
            let read = ChangeKind::Read { message: id, author: author.id, reader: reader.clone() };
            self.tell(&kind, message.conversation, seq, read);
        }
        Ok(())
    }

    pub(super) async fn count_unread(
        &self,
        caller: &Caller,
        conversation: ConversationId,
    ) -> Result<u64> {
        self.permit(caller, Verb::Read, conversation).await?;
        match caller.user() {
            Some(user) => Ok(self.store.unread(conversation, user.id).await?),
            None => Ok(0),
        }
    }

    /// A mark can't lie before the first message or in the future, whatever a client says.
    pub(super) async fn see(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        seen: Option<OffsetDateTime>,
    ) -> Result<Option<OffsetDateTime>> {
        self.permit(caller, Verb::Read, conversation).await?;
        let Some(user) = caller.user() else { return Ok(None) };
        let former = self.store.read_mark(user.id, conversation).await?;
        let seen = seen.map(|at| at.clamp(OffsetDateTime::UNIX_EPOCH, clock::now()));
        if let Some(at) = seen.filter(|at| former.is_none_or(|former| former < *at)) {
            self.store.move_read_mark(user.id, conversation, at).await?;
        }
        Ok(former)
    }
}

fn not_the_recipient() -> ChatError {
    ChatError::new(Code::Forbidden, "only the recipient of a direct message can read it")
}
