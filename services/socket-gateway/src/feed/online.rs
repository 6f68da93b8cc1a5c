//! The roster: who is online on any gateway. Events keep it; a comparison with Redis now and then
//! (see `rosters.rs`) mends what events were lost.

use std::time::Instant;

use chat_core::{Event, Fleeting};

use super::{
    Crowds, GatewayFeed,
    book::{Compared, Turn},
    crowd::Rendered,
};
use crate::presence::{Listed, Place, field_of_user, user_of_field};

impl GatewayFeed {
    /// Takes an event, and tells those who watch its user if it is news.
    pub(super) fn note_presence(&self, crowds: &mut Crowds, event: Fleeting) {
        let (user, is_online) = match &event {
            Fleeting::Online(user) => (user, true),
            Fleeting::Offline(user) => (user, false),
            _ => return,
        };
        let field = field_of_user(user);
        if is_online {
            crowds.online.enters(&field, &user.name, Instant::now(), |_| None);
        } else {
            crowds.online.leaves(&field, &user.name);
        }
        self.tell_watchers(crowds, event);
    }

    fn tell_watchers(&self, crowds: &Crowds, event: Fleeting) {
        let (Fleeting::Online(user) | Fleeting::Offline(user)) = &event else { return };
        if !self.roster.note(user, matches!(event, Fleeting::Online(_))) {
            return;
        }
        let watchers = crowds.of_user.get(&user.id);
        let event = Event::Fleeting(event);
        let mut rendered = Rendered::new(&event);
        for listener in watchers.into_iter().flat_map(|watchers| watchers.values()) {
            rendered.tell(listener);
        }
    }

    /// Compares the roster with what Redis says. The first answer is news, too: who watches has
    /// been told that nobody is online.
    pub(super) fn compare_online(&self, listed: Listed, gone_counts: bool) {
        let mut crowds = self.crowds();
        let here_since = |field: &str| self.presence.here_since(Place::Online, field);
        let turns = match crowds.online.compare(listed, gone_counts, here_since) {
            Compared::Loaded(turns) => turns,
            Compared::Mended(turns) => {
                super::rosters::count_mended("online", turns.len());
                turns
            }
        };
        for event in turns.into_iter().filter_map(event) {
            self.tell_watchers(&crowds, event);
        }
    }
}

fn event(turn: Turn) -> Option<Fleeting> {
    let user = user_of_field(&turn.field)?;
    Some(if turn.is_here { Fleeting::Online(user) } else { Fleeting::Offline(user) })
}
