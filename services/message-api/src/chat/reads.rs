//! What has been read, in directs, and how far somebody has seen a room.

use chat_core::{
    Author, Caller, ChangeKind, ChatError, ConversationId, Inbox, MessageId, Result, clock, inbox,
    model::Seen,
    rights::{self, Verb},
};
use time::OffsetDateTime;

use super::{Rules, peers};
use crate::store::no_such_message;

impl Rules {
    pub(super) async fn read_message(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let (message, kind) = self.readable_message(caller, id).await?;
        rights::over_message(caller, Verb::MarkRead, &kind, &message.author)?;
        let (Some(reader), Author::User(author)) = (caller.user(), &message.author) else {
            // Guests neither read directs nor write in them.
            return Err(ChatError::unauthorised());
        };
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
        seen: Option<Seen>,
    ) -> Result<Option<OffsetDateTime>> {
        let kind = self.permit(caller, Verb::Read, conversation).await?;
        let Some(user) = caller.user() else { return Ok(None) };
        let mark = match seen {
            None => None,
            Some(Seen::Message(_)) if peers(&kind).is_some() => return Err(read_one_by_one()),
            Some(Seen::Message(id)) => {
                let mark = self.store.mark_at_message(conversation, id).await?;
                Some(mark.ok_or_else(no_such_message)?)
            }
            Some(Seen::At(at)) => {
                let at = at.clamp(OffsetDateTime::UNIX_EPOCH, clock::now());
                Some(self.store.mark_at_time(conversation, at).await?)
            }
        };
        let former = self.store.read_mark(user.id, conversation).await?;
        if let Some(mark) = mark
            && former.is_none_or(|former| former.is_before(&mark))
        {
            self.store.move_read_mark(user.id, conversation, &mark).await?;
        }
        Ok(former.map(|former| former.at))
    }

    pub(super) async fn list_inbox(
        &self,
        caller: &Caller,
        rooms: u32,
        directs: u32,
    ) -> Result<Inbox> {
        let user = rights::own(caller, Verb::Inbox)?;
        self.admit(caller).await?;
        let cut = |count: u32| count.clamp(1, inbox::ROWS_MAX);
        Ok(self.store.inbox(user.id, cut(rooms), cut(directs)).await?)
    }
}

fn read_one_by_one() -> ChatError {
    let sentence = "the messages of a direct are read one by one (003's `read-chat`)";
    ChatError::invalid_payload(sentence)
}
