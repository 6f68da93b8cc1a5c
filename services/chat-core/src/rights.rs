//! Who may do what: a function of the caller and the kind of conversation, in this one place.

use crate::{
    error::{ChatError, Code, Result},
    model::{Author, Caller, ConversationKind, User},
};

/// What can be done in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// See that it is there, read it, follow it.
    Read,
    /// Post in it.
    Post,
}

/// May the caller do this there? A direct that is not theirs does not exist for them: `not_found`.
pub fn in_conversation(caller: &Caller, verb: Verb, kind: &ConversationKind) -> Result<()> {
    match (kind, caller, verb) {
        (ConversationKind::Lobby | ConversationKind::Room, _, Verb::Read | Verb::Post) => Ok(()),
        (ConversationKind::Direct { peers }, Caller::User(user), _)
            if peers.iter().any(|peer| peer.id == user.id) =>
        {
            Ok(())
        }
        (ConversationKind::Direct { .. }, _, _) => {
            Err(ChatError::new(Code::NotFound, "there is no such conversation"))
        }
    }
}

/// May the caller change or delete a message of this author? Only registered authors can prove
/// that they are who wrote it.
pub fn over_message(caller: &Caller, author: &Author) -> Result<()> {
    match (caller, author) {
        (Caller::User(user), Author::User(author)) if user.id == author.id => Ok(()),
        _ => Err(ChatError::new(Code::Forbidden, "this message is somebody else's")),
    }
}

/// May the caller make rooms and open directs? Guests may not.
pub fn begin_conversation(caller: &Caller) -> Result<()> {
    match caller {
        Caller::User(_) => Ok(()),
        Caller::Guest(_) => Err(ChatError::new(
            Code::Unauthorised,
            "guests can't begin conversations, log in first",
        )),
    }
}

/// Whose inbox is the caller's? Guests have none.
pub fn own_inbox(caller: &Caller) -> Result<&User> {
    caller
        .user()
        .ok_or_else(|| ChatError::new(Code::Unauthorised, "guests have no inbox, log in first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::UserId, text::Username};

    fn user(id: u64) -> User {
        User { id: UserId(id), name: Username::parse(&format!("user{id}")).expect("a name") }
    }

    #[test]
    fn a_direct_exists_for_its_two_only() {
        let kind = ConversationKind::Direct { peers: Box::new([user(1), user(2)]) };
        let guest = Caller::Guest(Username::parse("user1").expect("a name"));
        for verb in [Verb::Read, Verb::Post] {
            assert!(in_conversation(&Caller::User(user(1)), verb, &kind).is_ok());
            assert!(in_conversation(&Caller::User(user(2)), verb, &kind).is_ok());
            for stranger in [Caller::User(user(3)), guest.clone()] {
                let refused = in_conversation(&stranger, verb, &kind).expect_err("refused");
                assert_eq!(refused.code(), Code::NotFound);
            }
        }
    }

    #[test]
    fn a_guest_of_the_same_name_is_not_the_author() {
        let guest = Caller::Guest(Username::parse("user1").expect("a name"));
        assert!(over_message(&Caller::User(user(1)), &Author::User(user(1))).is_ok());
        for (caller, author) in [
            (Caller::User(user(2)), Author::User(user(1))),
            (guest.clone(), Author::User(user(1))),
            (guest.clone(), guest),
        ] {
            assert_eq!(
                over_message(&caller, &author).expect_err("refused").code(),
                Code::Forbidden
            );
        }
    }
}
