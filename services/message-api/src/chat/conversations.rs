//! Rooms and directs.

use chat_core::{
    Caller, ChatError, Code, Conversation, ConversationId, Notice, Result, Title, User,
    chat::DIRECTS_MAX,
    model::{ConversationPage, Peer},
    rights::{self, Verb},
};

use super::{Rules, no_such_conversation};

/// The longest page of rooms.
const ROOMS_MAX: u32 = 1_000;

impl Rules {
    pub(super) async fn make_room(&self, caller: &Caller, title: Title) -> Result<Conversation> {
        let creator = self.beginner(caller, Verb::CreateRoom).await?;
        self.door.may_make_room(creator.id).await?;
        let room = self.store.create_room(&title, creator).await?;
        self.notice(Notice::RoomCreated(Box::new(room.clone())));
        Ok(room)
    }

    pub(super) async fn one_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
    ) -> Result<Conversation> {
        self.admit(caller).await?;
        let found = self.store.conversation(id).await?.ok_or_else(no_such_conversation)?;
        rights::in_conversation(caller, Verb::Read, &found.kind)?;
        Ok(found)
    }

    pub(super) async fn list_rooms(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ConversationPage> {
        Ok(self.store.rooms(after, limit.clamp(1, ROOMS_MAX)).await?)
    }

    pub(super) async fn direct_with(&self, caller: &Caller, peer: Peer) -> Result<Conversation> {
        let creator = self.beginner(caller, Verb::OpenDirect).await?;
        let peer = self.store.user(&peer).await?;
        if peer.id == creator.id {
            let sentence = "you can't begin a conversation with yourself";
            return Err(ChatError::new(Code::InvalidRecipient, sentence).of_field("peer"));
        }
        let id = self.store.open_direct(creator, &peer).await?;
        self.one_conversation(caller, id).await
    }

    pub(super) async fn list_directs(
        &self,
        caller: &Caller,
        limit: u32,
    ) -> Result<Vec<Conversation>> {
        self.admit(caller).await?;
        match caller.user() {
            Some(user) => Ok(self.store.directs(user.id, limit.clamp(1, DIRECTS_MAX)).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The user, if this caller may begin conversations.
    async fn beginner<'a>(&self, caller: &'a Caller, verb: Verb) -> Result<&'a User> {
        self.admit(caller).await?;
        rights::own(caller, verb)
    }
}
