//! Who is on the other side of a user's directs, as one socket has learnt it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chat_core::{
    Caller, Chat, ChatError, Code, Conversation, ConversationId, ConversationKind, MessageId,
    Result, User, Username, chat::DIRECTS_MAX, model::Peer,
};

/// Directs that are remembered; then it starts over.
const MOST: usize = 1_000;

/// Sent chats that are remembered: those of whom a repair may tell again.
const SENT: usize = 256;

/// The directs that a socket has to do with.
pub(super) struct Peers {
    chat: Arc<dyn Chat>,
    me: User,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    directs: HashMap<String, ConversationId>,
    names: HashMap<ConversationId, Username>,
    /// What this socket has sent, the newest last.
    sent: VecDeque<MessageId>,
}

impl Peers {
    /// Nothing is known yet.
    pub(super) fn of(me: &User, chat: &Arc<dyn Chat>) -> Self {
        Self { chat: Arc::clone(chat), me: me.clone(), known: Mutex::default() }
    }

    /// Whose directs they are.
    pub(super) const fn me(&self) -> &User {
        &self.me
    }

    /// The same, as who asks.
    pub(super) fn caller(&self) -> Caller {
        Caller::User(self.me.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The direct with a user, made if there is none.
    pub(super) async fn direct_with(&self, user: &Username) -> Result<(ConversationId, Username)> {
        {
            let known = self.known();
            if let Some(id) = known.directs.get(&user.key())
                && let Some(name) = known.names.get(id)
            {
                return Ok((*id, name.clone()));
            }
        }
        let direct = self.chat.open_direct(&self.caller(), Peer::Name(user.clone())).await?;
        let name = self.learn(&direct)?;
        self.known().directs.insert(name.key(), direct.id);
        Ok((direct.id, name))
    }

    /// The same to read in: what was said with somebody who has left since is still there.
    pub(super) async fn past_with(&self, user: &Username) -> Result<(ConversationId, Username)> {
        let refusal = match self.direct_with(user).await {
            Err(error) if error.code() == Code::UnknownUser => error,
            decided => return decided,
        };
        for direct in self.chat.directs(&self.caller(), DIRECTS_MAX).await? {
            let name = self.learn(&direct)?;
            if name.same_as(user) {
                return Ok((direct.id, name));
            }
        }
        Err(refusal)
    }

    /// Who is on the other side of this one. Fails with `not_found` if it is no direct.
    pub(super) async fn peer_in(&self, conversation: ConversationId) -> Result<Username> {
        if let Some(name) = self.known().names.get(&conversation) {
            return Ok(name.clone());
        }
        let direct = self.chat.conversation(&self.caller(), conversation).await?;
        self.learn(&direct)
    }

    /// This socket has sent a chat, and knows it from the acknowledgement.
    pub(super) fn sent(&self, id: MessageId) {
        let mut known = self.known();
        if known.sent.len() == SENT {
            known.sent.pop_front();
        }
        known.sent.push_back(id);
    }

    /// Is it one that this socket has sent? After a repair nothing else tells.
    pub(super) fn has_sent(&self, id: MessageId) -> bool {
        self.known().sent.contains(&id)
    }

    /// Somebody has deleted their account: no direct with them can be begun any more.
    pub(super) fn forget(&self, user: &str) {
        self.known().directs.remove(&user.to_ascii_lowercase());
    }

    fn learn(&self, direct: &Conversation) -> Result<Username> {
        let ConversationKind::Direct { peers } = &direct.kind else {
            return Err(ChatError::new(Code::NotFound, "there is no such chat"));
        };
        let peer = if peers[0].id == self.me.id { &peers[1] } else { &peers[0] };
        let mut known = self.known();
        if known.names.len() >= MOST {
            known.names.clear();
            known.directs.clear();
        }
        known.names.insert(direct.id, peer.name.clone());
        Ok(peer.name.clone())
    }
}
