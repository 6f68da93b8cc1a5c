//! The roster: who is online on any gateway. Events keep it; a comparison with Redis now and then
//! mends what events were lost.

use std::collections::HashSet;

use chat_core::{Event, Fleeting, User};

use super::{Crowds, GatewayFeed, crowd::Rendered};

impl GatewayFeed {
    /// Takes an event, and tells those who watch its user if it is news.
    pub(super) fn note_presence(&self, crowds: &mut Crowds, event: Fleeting) {
        let (user, is_online) = match &event {
            Fleeting::Online(user) => (user, true),
            Fleeting::Offline(user) => (user, false),
            _ => return,
        };
        crowds.doubts.remove(&user.id);
        if !self.roster.note(user, is_online) {
            return;
        }
        let watchers = crowds.of_user.get(&user.id);
        let event = Event::Fleeting(event.clone());
        let mut rendered = Rendered::new(&event);
        for listener in watchers.into_iter().flat_map(|watchers| watchers.values()) {
            rendered.tell(listener);
        }
    }

    /// Compares the roster with what Redis says. An event may be under way that explains a
    /// difference, so only one that is found twice in a row counts.
    pub fn compare_online(&self, online: Vec<User>) {
        let mut crowds = self.crowds();
        let here = self.roster.users();
        let came = online.iter().filter(|user| !self.roster.is_online(user.id));
        let there: HashSet<_> = online.iter().map(|user| user.id).collect();
        let gone = here.iter().filter(|user| !there.contains(&user.id));
        let differences: Vec<_> = came
            .cloned()
            .map(Fleeting::Online)
            .chain(gone.cloned().map(Fleeting::Offline))
            .collect();
        let doubts = std::mem::take(&mut crowds.doubts);
        for event in differences {
            let (Fleeting::Online(user) | Fleeting::Offline(user)) = &event else { continue };
            // Nothing is known at the start: then the first answer counts.
            if here.is_empty() || doubts.contains(&user.id) {
                self.note_presence(&mut crowds, event);
            } else {
                crowds.doubts.insert(user.id);
            }
        }
    }
}
