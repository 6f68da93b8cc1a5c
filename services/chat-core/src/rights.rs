//! Who may do what: every verb, where it is done, and by whom, in this one table.
//!
//! message-api decides by it ([`in_conversation`], [`over_message`], [`own`]); the journeys walk all
//! of it over REST, sockets and gRPC.

use crate::{
    error::{ChatError, Code, Result},
    model::{Author, Caller, ConversationKind, User},
};

/// What can be asked: the verbs of [`Chat`](crate::Chat), uploads, and what sockets do live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Make an account.
    Register,
    /// Begin a session with a name and a password.
    LogIn,
    /// Ask whose session or token it is.
    Authenticate,
    /// Log out.
    EndSession,
    /// Change one's password.
    ChangePassword,
    /// Delete one's account.
    DeleteAccount,
    /// Go by a name that no user bears.
    AdmitGuest,
    /// Find users, and hear who comes and goes.
    FindUsers,
    /// List the rooms.
    ListRooms,
    /// Make a room.
    CreateRoom,
    /// Open a direct.
    OpenDirect,
    /// List one's directs.
    ListDirects,
    /// Read one's inbox.
    Inbox,
    /// Keep a file.
    Upload,
    /// Fetch a file whose URL one knows.
    Fetch,
    /// Have something relayed to every socket of 000.
    Relay,
    /// See that a conversation is there, follow it, remember how far it was seen, count the unread.
    Read,
    /// Read messages.
    History,
    /// Post, and be seen typing.
    Post,
    /// Change a message.
    Edit,
    /// Delete a message.
    Delete,
    /// Mark a direct message as read.
    MarkRead,
    /// Ask for changes, heads and living sessions, or watch events: whatever conversation they are of.
    Serve,
}

impl Verb {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Register,
        Self::LogIn,
        Self::Authenticate,
        Self::EndSession,
        Self::ChangePassword,
        Self::DeleteAccount,
        Self::AdmitGuest,
        Self::FindUsers,
        Self::ListRooms,
        Self::CreateRoom,
        Self::OpenDirect,
        Self::ListDirects,
        Self::Inbox,
        Self::Upload,
        Self::Fetch,
        Self::Relay,
        Self::Read,
        Self::History,
        Self::Post,
        Self::Edit,
        Self::Delete,
        Self::MarkRead,
        Self::Serve,
    ];
}

/// Where it is done. Verbs outside of conversations are the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The lobby, and rooms: every user is a member.
    Open,
    /// A direct: its two are its members.
    Direct,
}

/// Who asks, as seen from what they ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Shows nothing and claims nothing.
    Nobody,
    /// Goes by a name that no user bears.
    Guest,
    /// A user who is no member.
    Stranger,
    /// A member who did not write the message.
    Member,
    /// The member who wrote it.
    Author,
    /// A service that shows its token and names no caller.
    Service,
}

impl Who {
    /// All of them, in the order of the table's columns.
    pub const ALL: &'static [Self] =
        &[Self::Nobody, Self::Guest, Self::Stranger, Self::Member, Self::Author, Self::Service];
}

type Cell = Result<(), Code>;

const YES: Cell = Ok(());
const LOG_IN: Cell = Err(Code::Unauthorised);
const HIDDEN: Cell = Err(Code::NotFound);
const FORBID: Cell = Err(Code::Forbidden);
/// In whose name? A service must say.
const NAMELESS: Cell = Err(Code::InvalidPayload);

/// The table. Where guests are turned off, `Guest` and `Nobody` must log in for everything but the
/// first four.
#[rustfmt::skip]
pub const fn decide(verb: Verb, place: Place, who: Who) -> Cell {
    use {Place::{Direct, Open}, Verb as V};
    let row = match (verb, place) {
        //                                  nobody  guest   stranger member  author  service
        (V::Register | V::LogIn
            | V::Authenticate
            | V::EndSession, _)          => [YES,    YES,    YES,    YES,    YES,    YES],
        (V::ChangePassword
            | V::DeleteAccount, _)       => [LOG_IN, LOG_IN, YES,    YES,    YES,    NAMELESS],
        (V::AdmitGuest, _)               => [YES,    YES,    YES,    YES,    YES,    YES],
        (V::FindUsers, _)                => [LOG_IN, LOG_IN, YES,    YES,    YES,    YES],
        (V::ListRooms, _)                => [YES,    YES,    YES,    YES,    YES,    YES],
        (V::CreateRoom | V::OpenDirect
            | V::Inbox, _)               => [LOG_IN, LOG_IN, YES,    YES,    YES,    NAMELESS],
        (V::ListDirects, _)              => [LOG_IN, YES,    YES,    YES,    YES,    NAMELESS],
        (V::Upload, _)                   => [LOG_IN, LOG_IN, YES,    YES,    YES,    LOG_IN],
        (V::Fetch, _)                    => [YES,    YES,    YES,    YES,    YES,    YES],
        (V::Relay, _)                    => [LOG_IN, YES,    YES,    YES,    YES,    LOG_IN],
        (V::Read, Open)                  => [LOG_IN, YES,    YES,    YES,    YES,    NAMELESS],
        (V::Read, Direct)                => [LOG_IN, HIDDEN, HIDDEN, YES,    YES,    NAMELESS],
        (V::History, Open)               => [YES,    YES,    YES,    YES,    YES,    NAMELESS],
        (V::History, Direct)             => [LOG_IN, HIDDEN, HIDDEN, YES,    YES,    NAMELESS],
        (V::Post, Open)                  => [LOG_IN, YES,    YES,    YES,    YES,    NAMELESS],
        (V::Post, Direct)                => [LOG_IN, HIDDEN, HIDDEN, YES,    YES,    NAMELESS],
        (V::Edit | V::Delete, Open)      => [LOG_IN, FORBID, FORBID, FORBID, YES,    NAMELESS],
        (V::Edit | V::Delete, Direct)    => [LOG_IN, HIDDEN, HIDDEN, FORBID, YES,    NAMELESS],
        (V::MarkRead, Open)              => [LOG_IN, FORBID, FORBID, FORBID, FORBID, NAMELESS],
        (V::MarkRead, Direct)            => [LOG_IN, HIDDEN, HIDDEN, YES,    FORBID, NAMELESS],
        (V::Serve, _)                    => [LOG_IN, LOG_IN, LOG_IN, LOG_IN, LOG_IN, YES],
    };
    row[who as usize]
}

/// May the caller do this in a conversation of this kind? A direct that is not theirs does not
/// exist for them: `not_found`.
pub fn in_conversation(caller: &Caller, verb: Verb, kind: &ConversationKind) -> Result<()> {
    allow(verb, place(kind), who(caller, kind, None))
}

/// May the caller do this with a message of this author? Only registered authors can prove that
/// they are who wrote it.
pub fn over_message(
    caller: &Caller,
    verb: Verb,
    kind: &ConversationKind,
    author: &Author,
) -> Result<()> {
    allow(verb, place(kind), who(caller, kind, Some(author)))
}

/// The user, if this is a verb of the caller's own and they may do it. Guests may not.
pub fn own(caller: &Caller, verb: Verb) -> Result<&User> {
    let who = caller.user().map_or(Who::Guest, |_| Who::Member);
    allow(verb, Place::Open, who)?;
    caller.user().ok_or_else(ChatError::unauthorised)
}

const fn place(kind: &ConversationKind) -> Place {
    match kind {
        ConversationKind::Lobby | ConversationKind::Room => Place::Open,
        ConversationKind::Direct { .. } => Place::Direct,
    }
}

fn who(caller: &Caller, kind: &ConversationKind, author: Option<&Author>) -> Who {
    let Caller::User(user) = caller else { return Who::Guest };
    let is_member = match kind {
        ConversationKind::Lobby | ConversationKind::Room => true,
        ConversationKind::Direct { peers } => peers.iter().any(|peer| peer.id == user.id),
    };
    match (is_member, author) {
        (false, _) => Who::Stranger,
        (true, Some(Author::User(author))) if author.id == user.id => Who::Author,
        (true, _) => Who::Member,
    }
}

fn allow(verb: Verb, place: Place, who: Who) -> Result<()> {
    decide(verb, place, who).map_err(|code| {
        let sentence = match (code, verb) {
            (Code::NotFound, _) => "there is no such conversation",
            (Code::Forbidden, Verb::MarkRead) => {
                "only the recipient of a direct message can read it"
            }
            (Code::Forbidden, _) => "this message is somebody else's",
            (_, Verb::Inbox) => "guests have no inbox, log in first",
            (_, Verb::CreateRoom | Verb::OpenDirect) => {
                "guests can't begin conversations, log in first"
            }
            _ => "log in first",
        };
        ChatError::new(code, sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::UserId, text::Username};

    fn user(id: u64) -> User {
        User { id: UserId(id), name: Username::parse(&format!("user{id}")).expect("a name") }
    }

    fn direct() -> ConversationKind {
        ConversationKind::Direct { peers: Box::new([user(1), user(2)]) }
    }

    #[test]
    fn a_direct_exists_for_its_two_only_whatever_the_verb() {
        let guest = Caller::Guest(Username::parse("user1").expect("a name"));
        let verbs =
            [Verb::Read, Verb::History, Verb::Post, Verb::Edit, Verb::Delete, Verb::MarkRead];
        for verb in verbs {
            for stranger in [Caller::User(user(3)), guest.clone()] {
                // Not even one who claims to have written it.
                for author in [Author::User(user(1)), stranger.clone()] {
                    let refused = over_message(&stranger, verb, &direct(), &author);
                    assert_eq!(refused.expect_err("refused").code(), Code::NotFound, "{verb:?}");
                }
                let refused = in_conversation(&stranger, verb, &direct());
                assert_eq!(refused.expect_err("refused").code(), Code::NotFound, "{verb:?}");
            }
        }
        for verb in [Verb::Read, Verb::History, Verb::Post] {
            for peer in [1, 2] {
                assert!(in_conversation(&Caller::User(user(peer)), verb, &direct()).is_ok());
            }
        }
    }

    #[test]
    fn a_guest_of_the_same_name_is_not_the_author() {
        let guest = Caller::Guest(Username::parse("user1").expect("a name"));
        let edit = |caller: &Caller, author: &Author| {
            over_message(caller, Verb::Edit, &ConversationKind::Room, author)
        };
        assert!(edit(&Caller::User(user(1)), &Author::User(user(1))).is_ok());
        for (caller, author) in [
            (Caller::User(user(2)), Author::User(user(1))),
            (guest.clone(), Author::User(user(1))),
            (guest.clone(), guest),
        ] {
            assert_eq!(edit(&caller, &author).expect_err("refused").code(), Code::Forbidden);
        }
    }

    #[test]
    fn a_message_is_read_by_the_other_of_a_direct() {
        let read = |reader, kind: &ConversationKind| {
            let author = Author::User(user(1));
            over_message(&Caller::User(user(reader)), Verb::MarkRead, kind, &author)
        };
        assert!(read(2, &direct()).is_ok());
        for (reader, kind) in [(1, direct()), (2, ConversationKind::Room)] {
            assert_eq!(read(reader, &kind).expect_err("refused").code(), Code::Forbidden);
        }
    }

    #[test]
    fn guests_have_nothing_of_their_own() {
        let guest = Caller::Guest(Username::parse("greta").expect("a name"));
        for verb in [Verb::Inbox, Verb::CreateRoom, Verb::OpenDirect, Verb::Upload] {
            assert_eq!(own(&guest, verb).expect_err("refused").code(), Code::Unauthorised);
            assert_eq!(own(&Caller::User(user(1)), verb), Ok(&user(1)));
        }
    }

    #[test]
    fn whoever_may_less_elsewhere_may_not_more_in_a_direct() {
        for &verb in Verb::ALL {
            for &who in &[Who::Nobody, Who::Guest, Who::Stranger] {
                let (open, direct) =
                    (decide(verb, Place::Open, who), decide(verb, Place::Direct, who));
                assert!(direct.is_err() || open.is_ok(), "{verb:?} {who:?}");
            }
        }
    }
}
