//! Hop 5 of 10: permit, store, then publish. From grpc.rs; next store/group_commit.rs, which
//! publishes (publisher.rs) what it has committed.

use std::collections::BTreeSet;

use chat_core::{
    Caller, ChangeKind, ChatError, Code, ConversationId, ConversationKind, Message, MessageId,
    MessageText, Result, SocketKey, User,
    chat::HISTORY_MAX,
    model::{History, MEDIA_MAX, NewMessage, Span},
    rights::{self, Verb},
};

use super::{Rules, no_such_conversation, peers};
use crate::{
    media,
    refusals::Refusals,
    store::{group_commit::Post, no_such_message},
};

impl Rules {
    /// Whether a guest's name was registered since they were let in, and whether an account was
    /// deleted, is seen when the messages are stored. An error is the answer to all of them.
    pub(super) async fn post_messages(
        &self,
        caller: &Caller,
        run: Vec<NewMessage>,
        origin: Option<SocketKey>,
    ) -> Result<Vec<Result<Message>>> {
        let Some(conversation) = run.first().map(|message| message.conversation) else {
            return Ok(Vec::new());
        };
        let kind = self.permit(caller, Verb::Post, conversation).await?;
        let mut posts = Vec::with_capacity(run.len());
        for message in run {
            posts.push(match self.check_media(caller, &message.media).await {
                Ok(()) => Ok(Post {
                    conversation,
                    peers: peers(&kind),
                    author: caller.clone(),
                    text: message.text.into_string(),
                    media: message.media,
                    client_id: message.client_id,
                    via: message.via,
                }),
                // It may be tried again, and what comes after it must not be there by then.
                Err(refusal) if refusal.code().is_transient() => return Err(refusal),
                Err(refusal) => Err(refusal),
            });
        }
        let (posts, refusals) = Refusals::part(posts.into_iter());
        let stored = self.group_commit.post(posts, origin).await?;
        let messages = stored.into_iter().map(|answer| answer.map(|stored| stored.message));
        Ok(refusals.among(messages.collect()))
    }

    /// Everything attached is something that its author has uploaded.
    async fn check_media(&self, caller: &Caller, media: &[String]) -> Result<()> {
        if media.is_empty() {
            return Ok(());
        }
        if media.len() > MEDIA_MAX {
            let sentence = format!("a message carries at most {MEDIA_MAX} media");
            return Err(ChatError::new(Code::InvalidMedia, sentence).of_field("media"));
        }
        let ids: Option<BTreeSet<_>> = media.iter().map(|url| media::id_of(url)).collect();
        if let (Some(ids), Some(owner)) = (ids, caller.user())
            && self.store.owns_media(owner.id, &ids).await?
        {
            return Ok(());
        }
        let sentence = "a medium is a URL that an upload of yours returned";
        Err(ChatError::new(Code::InvalidMedia, sentence).of_field("media"))
    }

    pub(super) async fn edit_message(
        &self,
        caller: &Caller,
        id: MessageId,
        text: MessageText,
    ) -> Result<Message> {
        let (message, kind, author) = self.own_message(caller, Verb::Edit, id).await?;
        let (edited, seq) = self.store.edit(&message, &text, author).await?;
        self.tell(&kind, edited.conversation, seq, ChangeKind::Edited(Box::new(edited.clone())));
        Ok(edited)
    }

    pub(super) async fn delete_message(&self, caller: &Caller, id: MessageId) -> Result<()> {
        let (message, kind, author) = self.own_message(caller, Verb::Delete, id).await?;
        let recipient = peers(&kind).into_iter().flatten().find(|peer| *peer != author.id);
        let seq = self.store.delete(&message, recipient, author).await?;
        self.tell(&kind, message.conversation, seq, ChangeKind::Deleted { message: id });
        Ok(())
    }

    /// A message that the caller may read, and its conversation's kind.
    pub(super) async fn readable_message(
        &self,
        caller: &Caller,
        id: MessageId,
    ) -> Result<(Message, ConversationKind)> {
        let message = self.store.message(id).await?.ok_or_else(no_such_message)?;
        match self.permit(caller, Verb::History, message.conversation).await {
            Ok(kind) => Ok((message, kind)),
            // Not even that there is such a conversation.
            Err(refusal) if refusal.code() == Code::NotFound => Err(no_such_message()),
            Err(refusal) => Err(refusal),
        }
    }

    /// A message that the caller wrote, to do this with it.
    async fn own_message<'a>(
        &self,
        caller: &'a Caller,
        verb: Verb,
        id: MessageId,
    ) -> Result<(Message, ConversationKind, &'a User)> {
        let (message, kind) = self.readable_message(caller, id).await?;
        rights::over_message(caller, verb, &kind, &message.author)?;
        let author = caller.user().ok_or_else(ChatError::unauthorised)?;
        Ok((message, kind, author))
    }

    /// The head is read first and bounds the page: what is posted meanwhile comes by the feed.
    pub(super) async fn page(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        self.admit(caller).await?;
        let opening =
            self.store.opening(conversation, span).await?.ok_or_else(no_such_conversation)?;
        rights::in_conversation(caller, Verb::History, &opening.conversation.kind)?;
        let limit = limit.clamp(1, HISTORY_MAX);
        let messages = self.store.history(&opening, span, limit).await?;
        let newest_here = messages.last().map(|message| message.created_at);
        let newest_at = opening.newest_at.or(newest_here);
        Ok(History { messages, head: opening.conversation.head, newest_at })
    }
}
